"""Transactions that do what they say on every database."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

from sqlalchemy import CursorResult, Delete, Select, Update, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

P = ParamSpec("P")
T = TypeVar("T")
Part = TypeVar("Part", bound="StorePart")

SessionFactory = Callable[[], Session]

ATTEMPTS = 5

_CONFLICTS = frozenset({"40001", "40P01", 1205, 1213})

CHANNEL: Final = "airflow_edge"
"""PostgreSQL's notification channel, on which gateways listen."""


class Transactions:
    """Runs work in transactions of its own, again where the database had to choose a victim."""

    def __init__(self, session_factory: SessionFactory) -> None:
        self._session_factory = session_factory

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work`, which changes nothing."""
        with self._session_factory() as session:
            return work(session)

    def finds(self, query: Select[Any]) -> bool:
        """Say, without any lock, whether a query gives anything: mostly there is nothing to do."""
        return bool(self.read(lambda session: session.scalar(select(query.exists()))))

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


class StorePart:
    """What the store knows of one thing: each call of it is one transaction, unless it says otherwise."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions


def reading(method: Callable[Concatenate[Part, Session, P], T]) -> Callable[Concatenate[Part, P], T]:
    """Give a method that changes nothing the session of a transaction of its own."""

    def call(part: Part, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return part._transactions.read(lambda session: method(part, session, *args, **kwargs))

    return update_wrapper(call, method)


def writing(method: Callable[Concatenate[Part, Session, P], T]) -> Callable[Concatenate[Part, P], T]:
    """Make a transaction of a method, which may run more than once, each time on a fresh session."""

    def call(part: Part, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return part._transactions.write(lambda session: method(part, session, *args, **kwargs))

    return update_wrapper(call, method)


def begin_writing(session: Session) -> None:
    """Take SQLite's only write lock before anything is read: what is read then cannot change until the commit."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def notify(session: Session, payload: str) -> bool:
    """Notify all gateways on commit; say whether the database can."""
    if session.connection().dialect.name != "postgresql":
        return False
    session.execute(select(func.pg_notify(CHANNEL, payload)))
    return True


def lock(session: Session, query: Select[T]) -> list[T]:
    """Give rows, locked, without those that somebody else is at."""
    return list(session.scalars(query.with_for_update(skip_locked=True)))


def change(session: Session, statement: Update | Delete) -> int:
    """Change or delete rows, whatever the session holds of them; say how many."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount


def codes_of(error: BaseException | None) -> frozenset[str | int]:
    """Give what a driver's error is known by: SQLSTATE, MySQL's own number, or both."""
    # As psycopg 3 and PyMySQL call it, and as psycopg 2 does.
    states = (getattr(error, "sqlstate", None), getattr(error, "pgcode", None))
    numbers = error.args[:1] if error is not None else ()
    return frozenset(state for state in states if isinstance(state, str)) | frozenset(
        number for number in numbers if isinstance(number, int)
    )


def is_conflict(error: DBAPIError) -> bool:
    """Say whether the same work may succeed if it is simply done again: a deadlock, a lost race, a busy file."""
    busy = getattr(error.orig, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return busy or not _CONFLICTS.isdisjoint(codes_of(error.orig))
