"""The versions of the policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from airflow_edge.store.columns import to_value
from airflow_edge.store.tables import PolicyRow
from airflow_edge.store.transactions import StorePart, reading, writing


class PolicyChangedError(Exception):
    """Somebody else has set the policy meanwhile; the argument is the version that is in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """Who has set which version of the policy, when, and why."""

    version: int
    note: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText(PolicyVersion):
    """The same with the policy itself, as it was given."""

    text: str


class PolicyVersions(StorePart):
    """The policy in force, and all that were before it."""

    @reading
    def newest(self, session: Session) -> int:
        """Give the number of the version in force; 0 where there never was one."""
        return session.scalar(select(func.max(PolicyRow.version))) or 0

    @reading
    def get(self, session: Session, version: int | None = None) -> PolicyText | None:
        """Give a version, or the one in force; None if there is none."""
        query = select(PolicyRow).options(undefer(PolicyRow.text)).order_by(PolicyRow.version.desc()).limit(1)
        if version is not None:
            query = query.where(PolicyRow.version == version)
        row = session.scalar(query)
        return None if row is None else to_value(PolicyText, row)

    @reading
    def all(self, session: Session, *, limit: int, before: int | None = None) -> list[PolicyVersion]:
        """Give versions without their texts, newest first.

        :param before: those with lower numbers
        """
        query = select(PolicyRow).order_by(PolicyRow.version.desc()).limit(limit)
        if before is not None:
            query = query.where(PolicyRow.version < before)
        return [to_value(PolicyVersion, row) for row in session.scalars(query)]

    def add(self, text: str, note: str, *, after: int | None = None, by: str, now: datetime) -> int:
        """Put a version in force; give its number.

        :param after: the version that it was made from; None for whichever is in force
        :raises PolicyChangedError: another one is in force.
        """
        while True:
            try:
                return self._add(text, note, after=after, by=by, now=now)
            except IntegrityError:
                # Somebody else has taken the number at the same moment; a text that nobody could keep fails otherwise.
                continue

    @writing
    def _add(self, session: Session, text: str, note: str, *, after: int | None, by: str, now: datetime) -> int:
        newest = session.scalar(select(func.max(PolicyRow.version))) or 0
        if after is not None and after != newest:
            raise PolicyChangedError(newest)
        session.add(PolicyRow(version=newest + 1, text=text, note=note, by=by, at=now))
        session.flush()
        return newest + 1
