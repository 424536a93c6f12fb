"""Jobs whose scheduler is gone, and that no other one will ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JOB_ENDED, JobState
from airflow_edge.store.airflow_tables import ADOPTABLE, TASK_INSTANCE, is_latest_try, running_schedulers
from airflow_edge.store.tables import JobRow
from airflow_edge.store.transactions import StorePart, change, lock

NOT_WANTED: Final = "the task was no longer queued, and its scheduler was gone"


class OrphanedJobs(StorePart):
    """Jobs whose scheduler is gone.

    Airflow has other schedulers adopt the task instances that still wait for their processes, and with them their jobs.
    Of all others nobody would book the end, or take back what still waits for a worker.
    """

    def finish(self, *, now: datetime, limit: int) -> int:
        """Book those that have ended and take back those that wait in vain, at most `limit`; say how many."""
        schedulers, there = self._transactions.read(
            lambda session: (list(session.scalars(running_schedulers())), is_latest_try(session))
        )
        orphaned = (
            JobRow.booked_at.is_(None),
            JobRow.kind == "task",
            JobRow.owner.is_not(None),
            JobRow.owner.not_in(schedulers),
        )
        ended = (*orphaned, JobRow.state.in_(JOB_ENDED), ~_held_as(there, *ADOPTABLE))
        waiting = (*orphaned, JobRow.state == JobState.QUEUED, ~_held_as(there, "queued"))
        taken_back = {"state": JobState.CANCELLED, "reason": NOT_WANTED, "ended_at": now, "booked_at": now}
        return self._change(ended, {"booked_at": now}, limit) + self._change(waiting, taken_back, limit)

    def _change(self, condition: tuple[ColumnElement[bool], ...], values: dict[str, object], limit: int) -> int:
        query = select(JobRow.id).where(*condition)
        if not self._transactions.finds(query):
            return 0

        def work(session: Session) -> int:
            # Whoever adopts one meanwhile, or has come back, makes the condition false.
            ids = lock(session, query.limit(limit))
            return change(session, update(JobRow).where(JobRow.id.in_(ids), *condition).values(values))

        return self._transactions.write(work)


def _held_as(there: ColumnElement[bool], *states: str) -> ColumnElement[bool]:
    """Say whether Airflow holds the job's task instance in one of these states."""
    return exists().where(TASK_INSTANCE.c.id == JobRow.workload_id, TASK_INSTANCE.c.state.in_(states), there)
