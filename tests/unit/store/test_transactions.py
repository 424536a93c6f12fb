from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.store.transactions import ATTEMPTS, Transactions, is_conflict


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        connection.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
    return tmp_path / "db"


@pytest.fixture
def transactions(path: Path) -> Iterator[Transactions]:
    engine = create_engine(f"sqlite:///{path}?timeout=0")
    yield Transactions(sessionmaker(engine))
    engine.dispose()


def count(transactions: Transactions) -> int:
    return transactions.read(lambda session: session.execute(text("SELECT count(*) FROM t")).scalar_one())


def test_work_that_was_in_somebodys_way_is_done_again(transactions: Transactions, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        tries = []

        def session_factory() -> Session:
            tries.append(1)
            if len(tries) == 3:
                other.execute("ROLLBACK")
            return transactions._session_factory()

        Transactions(session_factory).write(lambda session: session.execute(text("INSERT INTO t VALUES (1)")))
    assert (len(tries), count(transactions)) == (3, 1)


def test_work_that_never_succeeds_fails(transactions: Transactions, path: Path) -> None:
    tries = []

    def session_factory() -> Session:
        tries.append(1)
        return transactions._session_factory()

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            Transactions(session_factory).write(lambda session: None)
    assert len(tries) == ATTEMPTS


def test_work_that_fails_by_itself_changes_nothing_and_is_not_done_again(transactions: Transactions) -> None:
    tries = []

    def work(session: Session) -> None:
        tries.append(1)
        session.execute(text("INSERT INTO t VALUES (1)"))
        session.execute(text("INSERT INTO t VALUES (1)"))

    with pytest.raises(IntegrityError):
        transactions.write(work)
    assert (len(tries), count(transactions)) == (1, 0)


def test_what_writing_has_read_nobody_else_can_change(transactions: Transactions, path: Path) -> None:
    def work(session: Session) -> None:
        session.execute(text("SELECT count(*) FROM t")).scalar_one()
        with closing(sqlite3.connect(path, timeout=0)) as other, pytest.raises(sqlite3.OperationalError):
            other.execute("INSERT INTO t VALUES (1)")

    transactions.write(work)


class _PostgresError(Exception):
    """As a driver raises it: psycopg 3 and asyncpg say `sqlstate`, psycopg 2 says `pgcode`."""

    def __init__(self, **code: str) -> None:
        super().__init__()
        vars(self).update(code)


@pytest.mark.parametrize(
    ("original", "again"),
    [
        (_PostgresError(pgcode="40P01"), True),
        (_PostgresError(pgcode="40001"), True),
        (_PostgresError(pgcode="23505"), False),
        (_PostgresError(sqlstate="40P01"), True),
        (_PostgresError(sqlstate="40001"), True),
        (_PostgresError(sqlstate="23505"), False),
        (Exception(1213, "Deadlock found"), True),
        (Exception(1205, "Lock wait timeout"), True),
        (Exception(1062, "Duplicate entry"), False),
        (Exception(), False),
    ],
)
def test_every_database_says_differently_that_it_is_worth_another_try(original: Exception, again: bool) -> None:
    assert is_conflict(DBAPIError("", None, original)) is again
