from __future__ import annotations

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError

from airflow_edge.store.schema import Schema, in_words, look, revisions, trouble
from airflow_edge.store.tables import VERSION_TABLE, Base


class SaidError(Exception):
    """What a driver raises."""

    def __init__(self, *args: object, sqlstate: str | None = None) -> None:
        super().__init__(*args)
        self.sqlstate = sqlstate


def wrapped(original: Exception, kind: type = ProgrammingError) -> SQLAlchemyError:
    return kind("SELECT secret FROM t", {"secret": "hush"}, original)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (wrapped(SaidError('relation "airflow_edge_job" does not exist', sqlstate="42P01")), "run: airflow db migrate"),
        (wrapped(SaidError(1146, "Table 'airflow_edge_job' doesn't exist")), "run: airflow db migrate"),
        (wrapped(SaidError("no such table: airflow_edge_job"), OperationalError), "run: airflow db migrate"),
        (wrapped(SaidError("no such column: x"), OperationalError), "run: airflow db migrate"),
        (wrapped(SaidError('column "x" does not exist', sqlstate="42703")), "run: airflow db migrate"),
        (wrapped(SaidError(1054, "Unknown column 'x'")), "run: airflow db migrate"),
        (wrapped(SaidError("unable to open database file"), OperationalError), "[database] sql_alchemy_conn"),
        (
            wrapped(SaidError(2003, "Can't connect to MySQL server on 'db'"), OperationalError),
            "[database] sql_alchemy_conn",
        ),
        (
            wrapped(SaidError("the system is starting up", sqlstate="57P03"), OperationalError),
            "[database] sql_alchemy_conn",
        ),
        (
            wrapped(SaidError("permission denied for table x\nHINT: none", sqlstate="42501")),
            "permission denied for table x",
        ),
    ],
)
def test_an_error_is_a_line_that_says_what_to_do(error, advice):
    said = in_words(error)
    assert advice in said
    assert "hush" not in said
    assert "SELECT" not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("tables", "revision", "expected"),
    [
        (True, None, Schema.CURRENT),
        (True, revisions()[-1], Schema.CURRENT),
        (True, revisions()[0], Schema.OLDER),
        (True, "9999", Schema.OTHER),
        (False, None, Schema.MISSING),
        (False, revisions()[-1], Schema.MISSING),
    ],
)
def test_tables_are_compared_with_those_of_this_version(tables, revision, expected):
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        if tables:
            Base.metadata.create_all(connection)
        if revision is not None:
            connection.exec_driver_sql(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32))")
            connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES ('{revision}')")
        found = look(connection)
    assert found is expected
    assert (trouble(found) is None) == found.usable
