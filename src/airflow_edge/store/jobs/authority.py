"""How far the authority of jobs goes: begun, closed, and what becomes of those whose workers leave it at that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, tuple_, update
from sqlalchemy.orm import Session, undefer

from airflow_edge.protocol.states import JOB_HELD, JobEvent, JobState, job_sources, next_job_state
from airflow_edge.store.columns import batches
from airflow_edge.store.queueing import put_back
from airflow_edge.store.tables import JobRow
from airflow_edge.store.transactions import StorePart, change, lock, reading, writing

Condition: TypeAlias = tuple[ColumnElement[bool], ...]

NOT_BEGUN: Final[Condition] = (
    JobRow.state.in_(job_sources(JobEvent.STALL)),
    JobRow.kind == "task",
    JobRow.begun_at.is_(None),
    JobRow.calls_until.is_(None),
)
OVERSTAYED: Final[Condition] = JobRow.calls_until.is_not(None), JobRow.state == JobState.RUNNING


@dataclass(frozen=True, slots=True)
class IdleJob:
    """A job that its worker has accepted and does nothing for."""

    id: UUID
    assignment: int
    worker_id: UUID | None
    is_over: bool
    """It has nothing to do any more; else it has not begun."""


class JobAuthority(StorePart):
    """What jobs may call, and for how long; `rules.authority` says what follows from it."""

    @writing
    def begin(self, session: Session, job_id: UUID, assignment: int, *, now: datetime) -> bool:
        """Note that a job's task runs; False if the assignment does not count any more."""
        this = JobRow.id == job_id, JobRow.assignment == assignment, JobRow.state.in_(JOB_HELD)
        if change(session, update(JobRow).where(*this, JobRow.begun_at.is_(None)).values(begun_at=now)):
            return True
        return session.scalar(select(JobRow.id).where(*this)) is not None

    @writing
    def close(self, session: Session, jobs: Mapping[UUID, int], *, until: datetime, released: bool) -> int:
        """Note, of these assignments, until when they may still call, where that is not said yet; say of how many.

        :param released: Airflow holds the task's state
        """
        values = {"calls_until": until, **({"released": True} if released else {})}
        these = tuple_(JobRow.id, JobRow.assignment).in_(jobs.items()), JobRow.calls_until.is_(None)
        return change(session, update(JobRow).where(*these, JobRow.state.in_(JOB_HELD)).values(values))

    @reading
    def idle(self, session: Session) -> list[IdleJob]:
        """Give the jobs that are accepted and do nothing: not begun yet, or with nothing to do any more."""
        query = select(JobRow.id, JobRow.assignment, JobRow.worker_id, JobRow.calls_until).where(
            JobRow.instance.is_(None), or_(and_(*NOT_BEGUN), and_(*OVERSTAYED))
        )
        return [
            IdleJob(job_id, assignment, worker_id, is_over=until is not None)
            for job_id, assignment, worker_id, until in session.execute(query)
        ]

    def give_back(self, jobs: Mapping[UUID, int], *, now: datetime) -> int:
        """Put jobs that were accepted and are, under these assignments, not begun back into the queue; say how many."""

        def stalled(session: Session, job: JobRow) -> None:
            put_back(session, job, "not begun", "it was accepted and not begun in time", now=now)

        return sum(self._each(some, NOT_BEGUN, stalled) for some in batches(jobs.items()))

    def lose(self, jobs: Mapping[UUID, int], reason: str, *, now: datetime) -> int:
        """Declare jobs lost that have, under these assignments, nothing to do any more; say how many."""

        def lost(_: Session, job: JobRow) -> None:
            job.state = next_job_state(job.state, JobEvent.LOSE)
            job.reason, job.ended_at = reason, now

        return sum(self._each(some, OVERSTAYED, lost) for some in batches(jobs.items()))

    def _each(
        self,
        jobs: Sequence[tuple[UUID, int]],
        condition: tuple[ColumnElement[bool], ...],
        act: Callable[[Session, JobRow], None],
    ) -> int:
        these = select(JobRow).where(*condition, tuple_(JobRow.id, JobRow.assignment).in_(jobs))

        def work(session: Session) -> int:
            rows = lock(session, these.options(undefer(JobRow.past)))
            for row in rows:
                act(session, row)
            return len(rows)

        return self._transactions.write(work)
