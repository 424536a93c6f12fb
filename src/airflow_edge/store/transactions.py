"""Transactions that do what they say on every database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from sqlalchemy import CursorResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

T = TypeVar("T")

SessionFactory = Callable[[], Session]

ATTEMPTS = 5

_CONFLICTS = frozenset({"40001", "40P01"})
_MYSQL_CONFLICTS = frozenset({1205, 1213})


class Transactions:
    """Runs work in transactions of its own, again where the database had to choose a victim."""

    def __init__(self, session_factory: SessionFactory) -> None:
        self._session_factory = session_factory

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work`, which changes nothing."""
        with self._session_factory() as session:
            return work(session)

    def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` and commit; `work` may run more than once, each time on a fresh transaction."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._session_factory() as session:
                    begin_writing(session)
                    result = work(session)
                    session.commit()
                    return result
            except DBAPIError as error:
                if attempt == ATTEMPTS or not is_conflict(error):
                    raise
        raise AssertionError("unreachable")


def begin_writing(session: Session) -> None:
    """Take SQLite's only write lock before anything is read: what is read then cannot change until the commit."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def changed_rows(result: object) -> int:
    """Give the number of rows that an UPDATE or a DELETE has met."""
    return cast("CursorResult[Any]", result).rowcount


def is_conflict(error: DBAPIError) -> bool:
    """Say whether the same work may succeed if it is simply done again: a deadlock, a lost race, a busy file."""
    original = error.orig
    # As psycopg 3 and asyncpg call it, and as psycopg 2 does.
    if (getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)) in _CONFLICTS:
        return True
    if getattr(original, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return True
    code = original.args[0] if original is not None and original.args else None
    return code in _MYSQL_CONFLICTS
