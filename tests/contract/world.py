"""What the contract's tests put into a store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker, undefer

from airflow_edge.protocol.messages import Accepted, Ended
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.matching import Capacity
from airflow_edge.rules.worker import Worker
from airflow_edge.store import queueing
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.store import Store
from airflow_edge.store.tables import JobRow
from airflow_edge.store.workers.enrollment import EnrollToken
from airflow_edge.store.workers.workers import LinkFacts

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
LEASE = timedelta(seconds=10)

_names = count()


def new_job(**fields) -> JobRow:
    """A job with something in every field."""
    return JobRow(
        **{
            "id": uuid4(),
            "kind": "task",
            "workload_id": uuid4(),
            "dag_id": "dag",
            "task_id": "täsk",
            "run_id": "run",
            "map_index": -1,
            "try_number": 1,
            "queue": "default",
            "team_name": None,
            "priority_weight": 1,
            "slots": 1,
            "owner": 7,
            "log_path": "dag_id=dag/run_id=run/task_id=täsk/attempt=1.log",
            "workload": '{"token": ""}',
            **fields,
        }
    )


def queue(sessions: sessionmaker[Session], *jobs: JobRow, now: datetime = NOW) -> None:
    with sessions() as session:
        for job in jobs:
            queueing.add_job(session, job, now=now)
        session.commit()


def capacity(worker_id: UUID, *queues: str, free_slots: int = 1, team_name: str | None = None) -> Capacity:
    return Capacity(
        worker_id=worker_id, queues=frozenset(queues or ("default",)), team_name=team_name, free_slots=free_slots
    )


def claim(store: Store, *capacities: Capacity, now: datetime = NOW) -> list[ClaimedJob]:
    """Hand out all that these workers can have."""
    jobs: list[ClaimedJob] = []
    while True:
        claimed = store.queue.claim(capacities, lease_until=now + LEASE, now=now)
        jobs += claimed.jobs
        if not claimed.more:
            return jobs
        taken = Counter({one.worker_id: 0 for one in capacities})
        for job in claimed.jobs:
            taken[job.worker_id] += job.slots
        capacities = tuple(replace(one, free_slots=one.free_slots - taken[one.worker_id]) for one in capacities)


def accepted(job: ClaimedJob) -> Accepted:
    return Accepted(job_id=str(job.id), assignment=job.assignment)


def ended(job: ClaimedJob, exit_code: int = 0) -> Ended:
    return Ended(job_id=str(job.id), assignment=job.assignment, exit_code=exit_code)


def row(sessions: sessionmaker[Session], job_id: UUID) -> JobRow:
    with sessions() as session:
        return session.scalars(
            select(JobRow).options(undefer(JobRow.log_path), undefer(JobRow.workload)).where(JobRow.id == job_id)
        ).one()


def state(sessions: sessionmaker[Session], job_id: UUID) -> JobState:
    return row(sessions, job_id).state


def enrolled(store: Store, *, name: str | None = None, queues: Sequence[str] = ("default",)) -> Worker:
    """A worker with a key of its own."""
    name = name or f"worker-{next(_names)}"
    return store.enroll_tokens.enroll_trusted(name, hashlib.sha256(name.encode()).digest(), queues, now=NOW)


def facts(**fields) -> LinkFacts:
    return LinkFacts(
        **{
            "link_id": uuid4(),
            "gateway_id": "gateway",
            "transport": "long polling",
            "boot_id": "boot",
            "agent_version": "1",
            "airflow_version": "3.3.2",
            "concurrency": 8,
            "state": WorkerState.IDLE,
            **fields,
        }
    )


def token(**fields) -> EnrollToken:
    return EnrollToken(
        **{
            "id": uuid4(),
            "queues": ("default", "größe"),
            "team_name": None,
            "name_pattern": None,
            "uses": 1,
            "uses_left": 1,
            "created_at": NOW,
            "expires_at": NOW + timedelta(hours=1),
            "created_by": "somebody",
            "revoked_at": None,
            **fields,
        }
    )
