"""Every command of `airflow edge` where the database cannot be worked on: one line that helps, and no traceback."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine

from airflow_edge.store.tables import VERSION_TABLE, Base
from harness.database import SqliteFiles
from harness.ports import free_port
from tests.integration.airflow_here import airflow_command, airflow_configured, airflow_here

AT_THE_SITE = {"enroll", "worker", "status", "stop", "maintenance"}
"""Other names of the worker's own commands, which know no database."""
WORDS = ("x", "1", "1h", "y")
"""Whatever an argument's type may be, one of these is such a value."""


def commands(parser: argparse.ArgumentParser, *path: str) -> Iterator[list[str]]:
    """Each command below a parser, with the fewest arguments that it takes."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for name, below in group.choices.items():
            if name not in AT_THE_SITE:
                yield from commands(below, *path, name)
    if not groups:
        wanted = [action for action in parser._actions if action.required or action.dest == "workers"]
        words = [word for action in wanted for word in (*action.option_strings[:1], fitting(action))]
        yield [*path, *words]


def fitting(action: argparse.Action) -> str:
    for word in WORDS:
        with contextlib.suppress(argparse.ArgumentTypeError):
            if callable(action.type):
                action.type(word)
            return word
    raise AssertionError(f"no word fits {action}")


@pytest.fixture(scope="module")
def every_command() -> list[list[str]]:
    from airflow.cli.cli_parser import get_parser

    (group,) = [action for action in get_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    found = list(commands(group.choices["edge"]))
    assert len(found) > 20
    return found


def lines_of(words: list[str]) -> tuple[int, list[str]]:
    done = airflow_command("edge", *words)
    assert not done.out, (words, done.out)
    return done.status, done.err.splitlines()


def all_say(every_command: list[list[str]], advice: str) -> None:
    for words in every_command:
        if words[0] == "check":
            done = airflow_command("edge", *words)
            assert done.status == 1
            assert advice in done.out
            assert "Traceback" not in done.err
        else:
            status, said = lines_of(words)
            assert (status, len(said)) == (3, 1), (words, said)
            assert advice in said[0]


@pytest.mark.parametrize(
    "statements",
    [
        [f"DROP TABLE {name}" for name in Base.metadata.tables],
        ["DROP TABLE airflow_edge_worker_order"],
        [
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32))",
            f"INSERT INTO {VERSION_TABLE} VALUES ('0001')",
        ],
    ],
    ids=["none of the tables", "not all tables", "older tables"],
)
def test_where_tables_are_not_as_they_have_to_be(tmp_path, every_command, statements) -> None:
    database = SqliteFiles(tmp_path).create("bare")
    with airflow_here({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url}) as engine:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        all_say(every_command, "run: airflow db migrate")


def test_on_an_empty_database(tmp_path, every_command) -> None:
    database = SqliteFiles(tmp_path).create("empty")
    with airflow_configured({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url}):
        all_say(every_command, "run: airflow db migrate")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_without_a_database(tmp_path, every_command, kind) -> None:
    url = f"sqlite:///{tmp_path}/no/such/folder/file"
    if kind == "postgresql":
        url = f"postgresql+psycopg2://airflow:a-secret@127.0.0.1:{free_port()}/airflow"
    with airflow_configured({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}):
        all_say(every_command, "look at [database] sql_alchemy_conn")
        assert "a-secret" not in airflow_command("edge", "list-workers").err


def test_airflows_own_tables_missing(tmp_path, every_command) -> None:
    database = SqliteFiles(tmp_path).create("ours")
    engine = create_engine(database.url)
    Base.metadata.create_all(engine)
    engine.dispose()
    with airflow_configured({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url}):
        done = airflow_command("edge", "list-workers")
    # Airflow's own look at its tables comes before ours at what a command needs, and its log says what to run.
    assert done.status == 1
    assert "Traceback" not in done.err


def test_an_executor_that_is_none(tmp_path) -> None:
    database = SqliteFiles(tmp_path).create("executor")
    with airflow_here({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url}), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__EXECUTOR", "no.such.Executor,airflow_edge.executor.Typo")
        done = airflow_command("edge", "check")
        assert done.status == 1
        assert "Traceback" not in done.err
        wrong = [line for line in done.out.splitlines() if line.startswith("WRONG") and "[core] executor" in line]
        for name in ("no.such.Executor", "airflow_edge.executor.Typo"):
            (line,) = [line for line in wrong if f"{name} cannot be loaded" in line]
            assert "airflow_edge.executor.EdgeExecutor" in line
