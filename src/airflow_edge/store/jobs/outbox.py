"""What the executor does with jobs.

On a session that is given: the scheduler's own, where it must be atomic with what Airflow does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, exists, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from airflow_edge.protocol.messages import JobKind
from airflow_edge.protocol.states import JOB_ENDED, JOB_HELD, JobEvent, JobState, job_sources
from airflow_edge.store.airflow_tables import (
    TASK_INSTANCE,
    TaskInstanceState,
    is_latest_try,
    keeps_former_tries,
    running_schedulers,
)
from airflow_edge.store.columns import batches, to_value
from airflow_edge.store.tables import JobRow
from airflow_edge.store.transactions import change

_JOB_TABLE: Final[Table] = cast("Table", JobRow.__table__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job that has ended and that its executor has not booked yet."""

    id: UUID
    kind: JobKind
    workload_id: UUID
    state: JobState
    reason: str
    superseded: bool
    """A newer job was queued for the same workload: a task that was resumed, or rescheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedJob:
    """A job that is not booked yet, of one scheduler; the fields are those of the key Airflow knows it by."""

    id: UUID
    kind: JobKind
    workload_id: UUID
    dag_id: str
    task_id: str
    run_id: str
    try_number: int
    map_index: int


_OWNED: Final = select(JobRow.queued_at, *(_JOB_TABLE.c[field.name] for field in fields(OwnedJob)))


def owned(session: Session, owner: int | None) -> list[OwnedJob]:
    """Give this scheduler's jobs that are not booked, oldest first."""
    return _owned(session.execute(_OWNED.where(JobRow.owner == owner, JobRow.booked_at.is_(None))))


def owned_of(session: Session, job_ids: Collection[UUID], owner: int | None) -> set[UUID]:
    """Give those of the jobs that exist, are this scheduler's and are not booked."""
    return _these(session, job_ids, JobRow.owner == owner, JobRow.booked_at.is_(None))


def running(session: Session, job_ids: Collection[UUID], owner: int | None) -> set[UUID]:
    """Give those of the jobs that are this scheduler's, that a worker has accepted and that have not ended."""
    return _these(session, job_ids, JobRow.owner == owner, JobRow.state == JobState.RUNNING)


def ended(session: Session, owner: int | None) -> list[EndedJob]:
    """Give this scheduler's jobs that have ended and are not booked, oldest first."""
    query = select(
        JobRow.id, JobRow.kind, JobRow.workload_id, JobRow.state, JobRow.reason, JobRow.queued_at, JobRow.ended_at
    ).where(JobRow.owner == owner, JobRow.booked_at.is_(None), JobRow.state.in_(JOB_ENDED))
    rows = session.execute(query).all()
    if not rows:
        return []
    # Not one query: planners read the whole table for it.
    newest = select(JobRow.workload_id, func.max(JobRow.queued_at)).where(
        JobRow.workload_id.in_({row.workload_id for row in rows})
    )
    queued_last = dict(session.execute(newest.group_by(JobRow.workload_id)).all())
    return [
        to_value(EndedJob, row, superseded=row.queued_at < queued_last[row.workload_id])
        for row in sorted(rows, key=lambda row: (row.ended_at, row.id))
    ]


def restarting(session: Session, job_ids: Collection[UUID]) -> dict[UUID, TaskInstanceState]:
    """Give the task instances of these jobs that were cleared while they ran, by the id they had before.

    Airflow gives such a one a new id at once, and the next try only when it hears that the process has ended. From 3.4
    on it keeps the id until then: nothing has to be looked for.
    """
    if keeps_former_tries(session):
        return {}
    # Not one query: MySQL may compare the columns of two tables by different rules, and values never.
    key = (JobRow.dag_id, JobRow.task_id, JobRow.run_id, JobRow.map_index, JobRow.try_number)
    query = select(JobRow.workload_id, *key).where(JobRow.id.in_(job_ids))
    keys = {id_: tuple(rest) for id_, *rest in session.execute(query)}
    task = TASK_INSTANCE.c
    its_key = (task.dag_id, task.task_id, task.run_id, task.map_index, task.try_number)
    found: dict[tuple[Any, ...], TaskInstanceState] = {}
    for some in batches(set(keys.values())):
        these = tuple_(*its_key).in_(some), task.state == "restarting"
        for *rest, state, queued_by in session.execute(
            select(*its_key, task.state, task.queued_by_job_id).where(*these)
        ):
            found[tuple(rest)] = TaskInstanceState(state, queued_by)
    return {id_: found[key] for id_, key in keys.items() if key in found}


def log_path(session: Session, task_instance_id: UUID, try_number: int) -> str | None:
    """Give the relative path of the log of a task's try, as long as there is a job of it."""
    return session.scalar(
        select(JobRow.log_path).where(JobRow.workload_id == task_instance_id, JobRow.try_number == try_number).limit(1)
    )


def book(session: Session, job_ids: Collection[UUID], owner: int | None, *, now: datetime) -> None:
    """Note that this scheduler knows of these ends for good; what is another one's by now is left to that one."""
    for some in batches(job_ids):
        change(session, update(JobRow).where(JobRow.id.in_(some), JobRow.owner == owner).values(booked_at=now))


def adopt(session: Session, workload_ids: Collection[UUID], owner: int | None) -> list[OwnedJob]:
    """Make this scheduler the owner of all jobs of these task instances that nobody has booked, oldest first."""
    return [
        job
        for some in batches(workload_ids)
        for job in _adopt(session, and_(JobRow.kind == "task", JobRow.workload_id.in_(some)), owner)
    ]


def adopt_callbacks(session: Session, owner: int | None) -> list[OwnedJob]:
    """Make this scheduler the owner of the callbacks whose scheduler runs no more: Airflow itself adopts only tasks."""
    orphaned = and_(JobRow.kind == "callback", or_(JobRow.owner.is_(None), JobRow.owner.not_in(running_schedulers())))
    return _adopt(session, orphaned, owner)


def cancel(session: Session, job_ids: Collection[UUID], owner: int | None, reason: str, *, now: datetime) -> None:
    """Take back those of the jobs that are this scheduler's, if they have not ended, and book them either way."""
    for some in batches(job_ids):
        _cancel(session, and_(JobRow.id.in_(some), JobRow.owner == owner), reason, now)


def cancel_task(session: Session, task_instance_id: UUID, reason: str, *, now: datetime) -> None:
    """Take back the jobs of this task instance that have not ended, and book all of them."""
    _cancel(session, and_(JobRow.kind == "task", JobRow.workload_id == task_instance_id), reason, now)


def drop_unwanted(session: Session, owner: int | None, *, now: datetime) -> int:
    """Take back this scheduler's jobs that still wait for a worker, but not their task instance; say how many.

    They are not booked: the scheduler is told like of any other end.
    """
    waits = exists().where(
        TASK_INSTANCE.c.id == JobRow.workload_id, TASK_INSTANCE.c.state == "queued", is_latest_try(session)
    )
    unwanted = (
        JobRow.owner == owner,
        JobRow.booked_at.is_(None),
        JobRow.state == JobState.QUEUED,
        JobRow.kind == "task",
        ~waits,
    )
    if session.scalar(select(JobRow.id).where(*unwanted).limit(1)) is None:
        return 0
    cancelled = {"state": JobState.CANCELLED, "reason": "the task was no longer queued", "ended_at": now}
    return change(session, update(JobRow).where(*unwanted).values(cancelled))


def _these(session: Session, job_ids: Collection[UUID], *conditions: ColumnElement[bool]) -> set[UUID]:
    found = set[UUID]()
    for some in batches(job_ids):
        found.update(session.scalars(select(JobRow.id).where(JobRow.id.in_(some), *conditions)))
    return found


def _owned(rows: Iterable[Any]) -> list[OwnedJob]:
    return [to_value(OwnedJob, row) for row in sorted(rows, key=lambda row: (row.queued_at, row.id))]


def _adopt(session: Session, condition: ColumnElement[bool], owner: int | None) -> list[OwnedJob]:
    query = _OWNED.where(condition, JobRow.booked_at.is_(None)).order_by(JobRow.id).with_for_update()
    jobs = _owned(session.execute(query))
    for some in batches([job.id for job in jobs]):
        change(session, update(JobRow).where(JobRow.id.in_(some)).values(owner=owner))
    return jobs


def _cancel(session: Session, condition: ColumnElement[bool], reason: str, now: datetime) -> None:
    change(
        session,
        update(JobRow)
        .where(condition, JobRow.state.in_(job_sources(JobEvent.CANCEL)))
        # In this order, since MySQL computes a value from those already set.
        .ordered_values(
            (JobRow.to_stop, JobRow.state.in_(JOB_HELD)),
            (JobRow.state, JobState.CANCELLED),
            (JobRow.lease_until, None),
            (JobRow.reason, reason),
            (JobRow.ended_at, now),
            (JobRow.booked_at, now),
        ),
    )
    change(session, update(JobRow).where(condition, JobRow.booked_at.is_(None)).values(booked_at=now))
