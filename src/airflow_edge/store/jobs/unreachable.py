"""The running jobs of workers that are out of reach, and how long they are waited for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JobState
from airflow_edge.rules.liveness import Grace, Patience
from airflow_edge.store.columns import to_duration
from airflow_edge.store.tables import JobRow, WorkerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedJobs:
    """The running jobs of a worker that is out of reach."""

    jobs: int
    first_lost_after: datetime
    last_lost_after: datetime
    """When the grace of the first and of the last of them ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreachableJob:
    """A running job of a worker that is out of reach."""

    id: UUID
    workload_id: UUID
    needs_heartbeat: bool
    """Airflow waits for signs of life of its task."""
    grace: Grace
    lost_after: datetime


def unreachable_jobs(session: Session, patience: Patience, *, now: datetime) -> list[UnreachableJob]:
    """Give all of them, in one query; which grace is whose is the rules' business, not the database's."""
    job, worker = JobRow, WorkerRow
    query = select(
        job.id,
        job.workload_id,
        job.kind,
        job.released,
        job.queue,
        worker.last_seen_at,
        worker.disconnect_grace,
    ).where(_out_of_reach(patience, now))
    return [
        UnreachableJob(
            id=row.id,
            workload_id=row.workload_id,
            needs_heartbeat=row.kind == "task" and not row.released,
            grace=patience.grace_of(row.queue, to_duration(row.disconnect_grace)),
            lost_after=patience.lost_after(row.last_seen_at, row.queue, to_duration(row.disconnect_grace)),
        )
        for row in session.execute(query)
    ]


def awaited_jobs(session: Session, patience: Patience, *, now: datetime) -> dict[UUID, AwaitedJobs]:
    """Sum them up by worker; a whole fleet may be out of reach, so the database counts."""
    groups = (WorkerRow.id, JobRow.queue, WorkerRow.last_seen_at, WorkerRow.disconnect_grace)
    query = select(*groups, func.count().label("jobs")).where(_out_of_reach(patience, now)).group_by(*groups)
    counts: defaultdict[UUID, int] = defaultdict(int)
    ends: defaultdict[UUID, list[datetime]] = defaultdict(list)
    for row in session.execute(query):
        counts[row.id] += row.jobs
        ends[row.id].append(patience.lost_after(row.last_seen_at, row.queue, to_duration(row.disconnect_grace)))
    return {
        worker_id: AwaitedJobs(
            jobs=counts[worker_id],
            first_lost_after=min(moments),
            last_lost_after=max(moments),
        )
        for worker_id, moments in ends.items()
    }


def _out_of_reach(patience: Patience, now: datetime) -> ColumnElement[bool]:
    """Say which rows of jobs and workers belong together here."""
    running = and_(JobRow.worker_id == WorkerRow.id, JobRow.state == JobState.RUNNING)
    return and_(running, WorkerRow.last_seen_at < patience.silent_before(now))
