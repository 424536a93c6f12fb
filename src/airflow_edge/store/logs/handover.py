"""Finished logs that a remote log of Airflow's is to have as well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from airflow_edge.store.tables import LogRow
from airflow_edge.store.transactions import Transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedLog:
    """What one assignment wrote, to be handed over to a remote log as well."""

    id: UUID
    path: str
    again: bool
    """Somebody has begun with it before: the remote log may have it."""


class LogHandovers:
    """Finished logs on their way to a remote log."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def claim(self, *, now: datetime, until: datetime) -> FinishedLog | None:
        """Give the oldest log that is due to be handed over, and leave it to the caller until then."""
        due = (
            LogRow.handed_over_at.is_(None),
            or_(LogRow.complete, LogRow.given_up_at.is_not(None)),
            LogRow.purged_at.is_(None),
            LogRow.size > 0,
            or_(LogRow.handover_at.is_(None), LogRow.handover_at <= now),
        )
        oldest = LogRow.created_at, LogRow.id

        def claim(session: Session) -> FinishedLog | None:
            log = session.scalar(
                select(LogRow).where(*due).order_by(*oldest).limit(1).with_for_update(skip_locked=True)
            )
            if log is None:
                return None
            again = log.handover_at is not None
            log.handover_at = until
            return FinishedLog(id=log.id, path=log.path, again=again)

        if self._transactions.read(lambda session: session.scalar(select(LogRow.id).where(*due).limit(1))) is None:
            return None
        return self._transactions.write(claim)

    def done(self, log_id: UUID, *, now: datetime) -> None:
        """Note that the remote log has it."""
        self._set(log_id, handed_over_at=now)

    def put_off(self, log_id: UUID, *, until: datetime) -> None:
        """Have it handed over later."""
        self._set(log_id, handover_at=until)

    def _set(self, log_id: UUID, **values: datetime) -> None:
        self._transactions.write(
            lambda session: session.execute(update(LogRow).where(LogRow.id == log_id).values(**values))
        )
