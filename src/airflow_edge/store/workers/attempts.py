"""Machines that wanted to become workers lately, and what they were answered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from airflow_edge.store.columns import to_value
from airflow_edge.store.tables import EnrollAttemptRow
from airflow_edge.store.transactions import StorePart, change, reading, writing

REMEMBERED: Final = 200

AttemptResult: TypeAlias = Literal["enrolled", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollAttempt:
    """A machine that wanted to become a worker of this name."""

    at: datetime
    name: str
    token_id: UUID | None
    """The token that it had shown, if that is one."""
    result: AttemptResult
    text: str
    """What it was told."""


class EnrollAttempts(StorePart):
    """The last attempts to enrol, so that whoever waits for a worker sees why it does not come."""

    @writing
    def note(self, session: Session, attempt: EnrollAttempt) -> None:
        """Remember an attempt, and forget those that too many have followed."""
        row = EnrollAttemptRow(**asdict(attempt))
        session.add(row)
        session.flush()
        change(session, delete(EnrollAttemptRow).where(EnrollAttemptRow.id <= row.id - REMEMBERED))

    @reading
    def since(self, session: Session, since: datetime | None) -> list[EnrollAttempt]:
        """Give those since then, or all that are remembered, newest first."""
        query = select(EnrollAttemptRow).order_by(EnrollAttemptRow.id.desc())
        if since is not None:
            query = query.where(EnrollAttemptRow.at >= since)
        return [to_value(EnrollAttempt, row) for row in session.scalars(query)]
