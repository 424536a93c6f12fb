"""Queues that are paused."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import Session

from airflow_edge.rules.acts.pausing import QueuePause
from airflow_edge.store.tables import JobRow, QueuePauseRow
from airflow_edge.store.transactions import StorePart, change, notify, reading, writing

RESUMED = "queue resumed"
"""A notification: gateways look at the queue for anything that they are not told otherwise."""


class QueuePauses(StorePart):
    """Which queues are paused, by team and name."""

    @reading
    def of(self, session: Session, team_name: str | None, queue: str) -> QueuePause | None:
        """Give the pause of a queue; None if it has none."""
        row = session.get(QueuePauseRow, (team_name or "", queue))
        return None if row is None else to_pause(row)

    @writing
    def pause(
        self, session: Session, queues: Collection[str], team_name: str | None, note: str, *, by: str, now: datetime
    ) -> dict[str, QueuePause]:
        """Pause queues of a team, or of none; one that is paused gets this note. Give the pauses that there were."""
        before: dict[str, QueuePause] = {}
        for queue in sorted(set(queues)):
            row = session.get(QueuePauseRow, (team_name or "", queue), with_for_update=True)
            if row is None:
                session.add(QueuePauseRow(team_name=team_name or "", queue=queue, note=note, by=by, since=now))
            else:
                before[queue] = to_pause(row)
                row.note, row.by = note, by
        return before

    @writing
    def resume(self, session: Session, queues: Collection[str], team_name: str | None) -> list[str]:
        """Have jobs of these queues handed out again, at once; give those that were paused."""
        which = QueuePauseRow.team_name == (team_name or ""), QueuePauseRow.queue.in_(queues)
        paused = list(session.scalars(select(QueuePauseRow.queue).where(*which).with_for_update()))
        if paused:
            change(session, delete(QueuePauseRow).where(*which))
            notify(session, RESUMED)
        return paused


def to_pause(row: QueuePauseRow) -> QueuePause:
    """Give the pause that a row holds."""
    return QueuePause(team_name=row.team_name or None, queue=row.queue, note=row.note, by=row.by, since=row.since)


def is_paused(team_name: str | None, queue: str) -> ColumnElement[bool]:
    """Say of one queue, in SQL, whether it is paused: looked up once in a statement, however many jobs it is about."""
    return exists().where(QueuePauseRow.team_name == (team_name or ""), QueuePauseRow.queue == queue)


def waits_in_paused_queue() -> ColumnElement[bool]:
    """Say of a job, in SQL, whether its queue is paused."""
    return exists().where(
        QueuePauseRow.team_name == func.coalesce(JobRow.team_name, ""), QueuePauseRow.queue == JobRow.queue
    )
