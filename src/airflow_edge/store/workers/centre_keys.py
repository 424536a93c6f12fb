"""The centre's keys, as they are kept: what can be made of them, `admin.centre_keys` knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airflow_edge.store.tables import CentreKeyRow
from airflow_edge.store.transactions import StorePart, reading


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreKey:
    """One of them."""

    number: int
    public_key: bytes
    private_key: str | None
    """Encrypted; None where a later one has come."""
    signature: bytes | None
    """Of the one before; None for the first."""
    created_at: datetime
    created_by: str


class CentreKeys(StorePart):
    """All of them; none is ever deleted, since sites may have pinned it."""

    @reading
    def all(self, session: Session) -> list[CentreKey]:
        """Give all, oldest first."""
        return [_key(row) for row in session.scalars(select(CentreKeyRow).order_by(CentreKeyRow.number))]

    def add(self, make: Callable[[list[CentreKey]], CentreKey | None]) -> list[CentreKey]:
        """Add one, and forget the private halves of those before it; give all.

        :param make: is given all that there are, and gives the next one, or None if there is to be none
        """

        def work(session: Session) -> list[CentreKey]:
            query = select(CentreKeyRow).order_by(CentreKeyRow.number).with_for_update()
            known = [_key(row) for row in session.scalars(query)]
            new = make(known)
            if new is None:
                return known
            session.execute(update(CentreKeyRow).values(private_key=None))
            session.add(CentreKeyRow(**{name: getattr(new, name) for name in CentreKey.__slots__}))
            session.flush()
            return [_key(row) for row in session.scalars(query.execution_options(populate_existing=True))]

        try:
            return self._transactions.write(work)
        except IntegrityError:
            # Somebody has added one at the same moment.
            return self._transactions.write(work)


def _key(row: CentreKeyRow) -> CentreKey:
    return CentreKey(**{name: getattr(row, name) for name in CentreKey.__slots__})
