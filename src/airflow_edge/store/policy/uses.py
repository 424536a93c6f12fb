"""What tasks have asked for, counted by day: it is seen what a policy denies, or would, and what one has to grant."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Insert, delete, func, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session

from airflow_edge.store.columns import batches
from airflow_edge.store.tables import PolicyUseRow
from airflow_edge.store.transactions import StorePart, change, lock, reading, writing

MOST_A_DAY: Final = 20_000
"""Rows; a task that asks for ever new names must not fill the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedUse:
    """What a task asks for; each text is one that its column takes."""

    team_name: str
    """Empty for none."""
    queue: str
    dag_id: str
    task_id: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Times:
    """How often a rule granted it, how often none did, and how often it was denied for that, by the mode of then."""

    allowed: int
    denied: int
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UseSeen(NotedUse):
    """What was seen of a use over some days."""

    allowed: int
    denied: int
    """How often no rule granted it, whatever came of that."""
    refused: int = 0
    """How often it was really denied."""
    last_day: date


_TIMES: Final = tuple(field.name for field in fields(Times))


class PolicyUses(StorePart):
    """What tasks have asked for."""

    @writing
    def note(self, session: Session, day: date, uses: Mapping[NotedUse, Times], *, most: int = MOST_A_DAY) -> int:
        """Add to what is counted of a day; say how many uses were left out.

        :param most: rows of a day, about; what there is no room for is left out
        """
        rows = {_digest(day, use): (use, times) for use, times in uses.items()}
        there: set[str] = set()
        for some in batches(sorted(rows)):
            there.update(session.scalars(select(PolicyUseRow.digest).where(PolicyUseRow.digest.in_(some))))
        taken = session.scalar(select(func.count()).select_from(PolicyUseRow).where(PolicyUseRow.day == day)) or 0
        new = sorted(rows.keys() - there)
        kept = there.union(new[: max(0, most - taken)])
        # In one order, wherever they are written: two gateways would wait for each other.
        for some in batches(sorted(kept)):
            values = [{"digest": one, "day": day, **asdict(rows[one][0]), **asdict(rows[one][1])} for one in some]
            session.execute(_upsert(session), values)
        return len(rows) - len(kept)

    @reading
    def seen(
        self,
        session: Session,
        *,
        since: date,
        limit: int | None = None,
        offset: int = 0,
        dag_id: str | None = None,
        task_id: str | None = None,
        denied: bool = False,
        teams: Collection[str] | None = None,
    ) -> list[UseSeen]:
        """Give what was asked for since a day, in the order of who asked.

        :param denied: only what was denied at least once
        :param teams: only of these, or of none; None for all
        """
        named = _named()
        counted = [func.sum(getattr(PolicyUseRow, name)) for name in _TIMES]
        columns: list[ColumnElement[Any]] = [*named, *counted, func.max(PolicyUseRow.day)]
        query = select(*columns).where(PolicyUseRow.day >= since)
        if dag_id is not None:
            query = query.where(PolicyUseRow.dag_id == dag_id)
        if task_id is not None:
            query = query.where(PolicyUseRow.task_id == task_id)
        if teams is not None:
            query = query.where(PolicyUseRow.team_name.in_(["", *teams]))
        query = query.group_by(*named).order_by(*named)
        if denied:
            query = query.having(func.sum(PolicyUseRow.denied) > 0)
        if limit is not None:
            query = query.limit(limit).offset(offset)
        return [
            UseSeen(
                team_name=team_name,
                queue=queue,
                dag_id=dag,
                task_id=task,
                kind=kind,
                name=name,
                allowed=int(allowed),
                denied=int(denied_times),
                refused=int(refused),
                last_day=day,
            )
            for team_name, queue, dag, task, kind, name, allowed, denied_times, refused, day in session.execute(query)
        ]

    @writing
    def purge(self, session: Session, *, before: date, limit: int) -> int:
        """Delete what is of days before this one, at most `limit` rows; say how many."""
        digests = lock(session, select(PolicyUseRow.digest).where(PolicyUseRow.day < before).limit(limit))
        return change(session, delete(PolicyUseRow).where(PolicyUseRow.digest.in_(digests))) if digests else 0


def _named() -> tuple[ColumnElement[str], ...]:
    row = PolicyUseRow
    return tuple(
        column.expression for column in (row.team_name, row.queue, row.dag_id, row.task_id, row.kind, row.name)
    )


def _digest(day: date, use: NotedUse) -> str:
    # A length before each: whatever they hold, no two of them read alike.
    parts = (day.isoformat(), *asdict(use).values())
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def _upsert(session: Session) -> Insert:
    """Give the statement that inserts a row, or adds its numbers to those of the row that is there."""
    match session.connection().dialect.name:
        case "mysql":
            mine = mysql.insert(PolicyUseRow)
            return mine.on_duplicate_key_update(_added(mine.inserted))
        case "postgresql":
            theirs = postgresql.insert(PolicyUseRow)
            return theirs.on_conflict_do_update(index_elements=[PolicyUseRow.digest], set_=_added(theirs.excluded))
    own = sqlite.insert(PolicyUseRow)
    return own.on_conflict_do_update(index_elements=[PolicyUseRow.digest], set_=_added(own.excluded))


def _added(new: Any) -> dict[str, Any]:
    return {name: getattr(PolicyUseRow, name) + getattr(new, name) for name in _TIMES}
