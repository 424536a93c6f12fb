"""What has happened to workers: written with the change itself, and kept for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from airflow_edge.rules.fleet.events import Condition, Happening, PastEvent, happened
from airflow_edge.store.columns import to_value
from airflow_edge.store.tables import WorkerEventRow, WorkerRow
from airflow_edge.store.transactions import StorePart, change, lock, reading, writing

MOST_KEPT: Final = 1_000
"""Events of one worker."""

GROWS_IN: Final = timedelta(hours=1)
"""Within this the purge comes by for sure, and looks who has too many."""

LOOKED_AT: Final = (
    WorkerRow.state,
    WorkerRow.silent,
    WorkerRow.conditions,
    WorkerRow.version_refused,
    WorkerRow.maintenance_cause,
    WorkerRow.maintenance_comment,
)
"""Columns of which a change may be an event."""


class EventPage(NamedTuple):
    """Some of a worker's events, newest first, and how many there are in all."""

    events: tuple[PastEvent, ...]
    total: int


class WorkerEvents(StorePart):
    """Events of workers."""

    @reading
    def newest(self, session: Session, worker_id: UUID, *, limit: int, before: int | None = None) -> EventPage:
        """Give a worker's events, newest first.

        :param before: only those that are older than the one with this id
        """
        of_worker = WorkerEventRow.worker_id == worker_id
        query = select(WorkerEventRow).where(of_worker)
        if before is not None:
            query = query.where(WorkerEventRow.id < before)
        rows = session.scalars(query.order_by(WorkerEventRow.id.desc()).limit(limit))
        total = session.scalar(select(func.count()).where(of_worker)) or 0
        return EventPage(tuple(to_value(PastEvent, row) for row in rows), total)

    @writing
    def purge(self, session: Session, *, before: datetime, limit: int, now: datetime) -> int:
        """Delete events from before then, and those of which a worker has too many, at most `limit`; say how many."""
        ids = set(lock(session, select(WorkerEventRow.id).where(WorkerEventRow.at < before).limit(limit)))
        # Only those to whom something has happened since they were looked at.
        grown = session.scalars(select(WorkerEventRow.worker_id).where(WorkerEventRow.at >= now - GROWS_IN).distinct())
        of_grown = select(WorkerEventRow.worker_id).where(WorkerEventRow.worker_id.in_(grown.all()))
        crowded = of_grown.group_by(WorkerEventRow.worker_id).having(func.count() > MOST_KEPT)
        for worker_id in session.scalars(crowded).all():
            of_worker = select(WorkerEventRow.id).where(WorkerEventRow.worker_id == worker_id)
            newest = of_worker.order_by(WorkerEventRow.id.desc()).limit(1).offset(MOST_KEPT)
            too_old = of_worker.where(WorkerEventRow.id <= session.scalar(newest)).order_by(WorkerEventRow.id)
            ids.update(lock(session, too_old.limit(max(0, limit - len(ids)))))
        return change(session, delete(WorkerEventRow).where(WorkerEventRow.id.in_(ids))) if ids else 0


@contextmanager
def noting(session: Session, row: WorkerRow, *, by: str | None = None, now: datetime) -> Iterator[None]:
    """Write down what the changes of a worker's row mean, in the same transaction."""
    before = condition_of(row)
    yield
    note(session, row.id, happened(before, condition_of(row)), by=by, now=now)


def note(
    session: Session, worker_id: UUID, happenings: Iterable[Happening], *, by: str | None = None, now: datetime
) -> None:
    """Write down what happens to a worker."""
    session.add_all(
        WorkerEventRow(worker_id=worker_id, at=now, kind=kind, text=text, by=by) for kind, text in happenings
    )


def condition_of(row: WorkerRow) -> Condition:
    """Give what of a worker's row may be an event when it changes."""
    return Condition(
        state=row.state,
        silent=row.silent,
        conditions=row.conditions,
        version_refused=row.version_refused,
        maintenance_cause=row.maintenance_cause,
        maintenance_comment=row.maintenance_comment,
    )
