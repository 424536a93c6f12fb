"""Finished logs that a remote log of Airflow's is to have as well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from airflow_edge.store.tables import LogRow
from airflow_edge.store.transactions import StorePart, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedLog:
    """What one assignment wrote, to be handed over to a remote log as well."""

    id: UUID
    path: str
    again: bool
    """Somebody has begun with it before: the remote log may have it."""


class LogHandovers(StorePart):
    """Finished logs on their way to a remote log."""

    def claim(self, *, now: datetime, until: datetime) -> FinishedLog | None:
        """Give the oldest log that is due to be handed over, and leave it to the caller until then."""
        due = (
            LogRow.handed_over_at.is_(None),
            or_(LogRow.complete, LogRow.given_up_at.is_not(None)),
            LogRow.purged_at.is_(None),
            LogRow.size > 0,
            or_(LogRow.handover_at.is_(None), LogRow.handover_at <= now),
        )
        query = select(LogRow).where(*due)
        return self._claim(query, until) if self._transactions.finds(query) else None

    @writing
    def _claim(self, session: Session, due: Select[LogRow], until: datetime) -> FinishedLog | None:
        oldest = due.order_by(LogRow.created_at, LogRow.id).limit(1)
        log = session.scalar(oldest.with_for_update(skip_locked=True))
        if log is None:
            return None
        again = log.handover_at is not None
        log.handover_at = until
        return FinishedLog(id=log.id, path=log.path, again=again)

    @writing
    def done(self, session: Session, log_id: UUID, *, now: datetime) -> None:
        """Note that the remote log has it."""
        session.execute(update(LogRow).where(LogRow.id == log_id).values(handed_over_at=now))

    @writing
    def put_off(self, session: Session, log_id: UUID, *, until: datetime) -> None:
        """Have it handed over later."""
        session.execute(update(LogRow).where(LogRow.id == log_id).values(handover_at=until))
