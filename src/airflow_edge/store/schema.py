"""Whether the database has our tables as this version knows them, and what a database's error means, in words."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from airflow_edge.store.tables import VERSION_TABLE, Base
from airflow_edge.store.transactions import codes_of

MIGRATE: Final = "run: airflow db migrate"
CHECK_ADDRESS: Final = "look at [database] sql_alchemy_conn, and whether the database runs"

_VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"
_NO_SUCH_TABLE: Final = frozenset[str | int]({"42P01", 1146})
_NO_SUCH_COLUMN: Final = frozenset({"42703", 1054})
_OTHERS_STATEMENT: Final = frozenset({"26000", "42P05"})
"""A prepared statement is not there, or somebody else's: each transaction may have another connection to the server."""
_NOT_THERE: Final = frozenset({1040, 1044, 1045, 1049, 1053, 1129, 1130, 1203, 2002, 2003, 2005, 2006, 2013, 4031})
"""MySQL's own numbers: no connection, none any more, and none for this user or of this name."""


class Schema(StrEnum):
    """How the tables in a database compare with those of this version."""

    CURRENT = "current"
    MISSING = "missing"
    OLDER = "older"
    OTHER = "other"
    """Of a version that this one does not know: a newer one."""

    @property
    def usable(self) -> bool:
        """Whether to work on them: what a newer version adds is nothing that this one asks for."""
        return self in {Schema.CURRENT, Schema.OTHER}


def look(connection: Connection) -> Schema:
    """Say how the tables there are."""
    there = set(inspect(connection).get_table_names(schema=Base.metadata.schema))
    # Airflow makes tables and notes their revision in two steps.
    noted = _revision(connection) if VERSION_TABLE in there else None
    if noted in revisions()[:-1]:
        return Schema.OLDER
    if {each.name for each in Base.metadata.sorted_tables} - there:
        return Schema.MISSING
    return Schema.OTHER if noted is not None and noted not in revisions() else Schema.CURRENT


def trouble(schema: Schema) -> str | None:
    """Say in a line what to do about the tables; None if they can be worked on."""
    match schema:
        case Schema.MISSING:
            return f"the tables of airflow-edge are missing; {MIGRATE}"
        case Schema.OLDER:
            return f"the tables of airflow-edge are older than the airflow-edge that is installed; {MIGRATE}"
    return None


def trouble_of(session: Session) -> str | None:
    """Say in a line why our tables cannot be worked on; None if they can."""
    try:
        return trouble(look(session.connection()))
    except SQLAlchemyError as error:
        return in_words(error)


@cache
def revisions() -> list[str]:
    """Give the revisions that this version knows, oldest first: each file is named by its own."""
    return sorted(path.stem.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


def in_words(error: SQLAlchemyError, *, details: bool = True) -> str:
    """Say in a line what a database's error means and what to do about it; no statement and no value is in it.

    :param details: whether to quote what the database or its driver says, like the server's address
    """
    original = getattr(error, "orig", None)
    said = next((line.strip() for line in str(original or error).split("\n") if line.strip()), type(error).__name__)
    codes = codes_of(original)
    if codes & _NO_SUCH_TABLE or said.startswith("no such table"):
        return f"the tables of Airflow or of airflow-edge are missing; {MIGRATE}"
    if codes & _NO_SUCH_COLUMN or said.startswith(("no such column", "table ")):
        return f"the tables of Airflow or of airflow-edge are of another version; {MIGRATE}"
    if codes & _OTHERS_STATEMENT:
        return (
            "a connection pooler in transaction mode, like PgBouncer, does not go together with the driver's prepared "
            "statements; switch them off: [database] sql_alchemy_connect_args, with prepare_threshold None"
        )
    if isinstance(error, PoolTimeoutError):
        return "no connection to the database was free in time; look at [database] sql_alchemy_pool_size, or try again"
    quoted = f" ({said})" if details else ""
    if _is_away(error, codes, said):
        return f"the database cannot be reached{quoted}; {CHECK_ADDRESS}"
    return f"the database did not do what it was asked{quoted}"


def _is_away(error: SQLAlchemyError, codes: frozenset[str | int], said: str) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    # Drivers of PostgreSQL give no code where there is no server to give one; class 08 is connections, 28 who may.
    nobody = type(error.orig).__name__ == "OperationalError" and not codes and "sqlite" not in _module(error)
    refused = any(code.startswith(("08", "28", "57P", "3D", "53300")) for code in codes if isinstance(code, str))
    unopened = said.startswith("unable to open database file")
    return bool(error.connection_invalidated) or nobody or refused or unopened or bool(codes & _NOT_THERE)


def _module(error: DBAPIError) -> str:
    return type(error.orig).__module__


def _revision(connection: Connection) -> str | None:
    noted = connection.scalar(
        select(column("version_num")).select_from(table(VERSION_TABLE, schema=Base.metadata.schema)).limit(1)
    )
    return None if noted is None else str(noted)
