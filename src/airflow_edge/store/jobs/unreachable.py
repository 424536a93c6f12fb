"""The running jobs of workers that are out of reach, and how long they are waited for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JobState
from airflow_edge.rules.liveness import Grace, Patience, Silence
from airflow_edge.store.columns import to_duration
from airflow_edge.store.tables import JobRow, WorkerRow

SEEN_AT = func.coalesce(JobRow.left_at, WorkerRow.last_seen_at)
"""When the instance of a worker that has a job was last seen."""

_RUNNING = and_(JobRow.worker_id == WorkerRow.id, JobRow.state == JobState.RUNNING)
"""The rows of jobs and workers that belong together here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedJobs:
    """The running jobs of a worker that is out of reach."""

    jobs: int
    first_lost_after: datetime
    last_lost_after: datetime
    """When the grace of the first and of the last of them ends."""


class Running(NamedTuple):
    """Running jobs of one queue at one worker, and when that, or the instance of it that has them, was last seen."""

    worker_id: UUID
    queue: str
    seen_at: datetime
    disconnect_grace: int | None
    """The worker's own, in seconds."""
    jobs: int


def jobs_given_up(
    session: Session, silences: Mapping[UUID, Silence], patience: Patience
) -> list[tuple[UUID, UUID, Grace]]:
    """Give those whose grace is over, who has them, and the grace: whose is which is the rules' business.

    :param silences: of workers, and of the instances of workers that have left jobs behind
    """
    if not silences:
        return []
    newest = max(silence.since for silence in silences.values())
    query = select(JobRow.id, JobRow.worker_id, JobRow.instance, JobRow.queue, WorkerRow.disconnect_grace).where(
        _RUNNING, newest >= SEEN_AT
    )
    found: list[tuple[UUID, UUID, Grace]] = []
    for row in session.execute(query):
        own, holder = to_duration(row.disconnect_grace), row.instance or row.worker_id
        silence = silences.get(holder)
        if silence and silence.until > patience.lost_after(silence.since, row.queue, own):
            found.append((row.id, holder, patience.grace_of(row.queue, own)))
    return found


def awaited_jobs(session: Session, patience: Patience, *, now: datetime) -> dict[UUID, AwaitedJobs]:
    """Sum them up by worker; a whole fleet may be out of reach, so the database counts."""
    groups = (WorkerRow.id, JobRow.queue, SEEN_AT.label("seen_at"), WorkerRow.disconnect_grace)
    query = (
        select(*groups, func.count().label("jobs"))
        .where(out_of_reach(patience, now))
        .group_by(WorkerRow.id, JobRow.queue, SEEN_AT, WorkerRow.disconnect_grace)
    )
    return await_jobs((Running(*row) for row in session.execute(query)), patience)


def await_jobs(running: Iterable[Running], patience: Patience) -> dict[UUID, AwaitedJobs]:
    """Sum running jobs up, all of workers that are out of reach."""
    counts: defaultdict[UUID, int] = defaultdict(int)
    ends: defaultdict[UUID, list[datetime]] = defaultdict(list)
    for some in running:
        counts[some.worker_id] += some.jobs
        ends[some.worker_id].append(patience.lost_after(some.seen_at, some.queue, to_duration(some.disconnect_grace)))
    return {
        worker_id: AwaitedJobs(
            jobs=counts[worker_id],
            first_lost_after=min(moments),
            last_lost_after=max(moments),
        )
        for worker_id, moments in ends.items()
    }


def out_of_reach(patience: Patience, now: datetime) -> ColumnElement[bool]:
    """Say which rows of jobs and workers belong together, by this process's clock: nothing ends for what it says."""
    return and_(_RUNNING, patience.silent_before(now) > SEEN_AT)
