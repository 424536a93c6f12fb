from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Inspector, String, column, inspect, select, table
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import WorkerState
from airflow_edge.store.schema import revisions
from airflow_edge.store.tables import VERSION_TABLE, Base, WorkerRow
from harness import environments
from harness.airflow import Airflow
from harness.database import Database
from tests.integration.airflow_here import airflow_configured

OURS = {*Base.metadata.tables, VERSION_TABLE}
NEWEST = revisions()[-1]

BEFORE = {
    WorkerRow.id: uuid4(),
    WorkerRow.name: "before",
    WorkerRow.public_key: b"k" * 32,
    WorkerRow.queues: ["q"],
    WorkerRow.state: WorkerState.IDLE,
    WorkerRow.concurrency: 2,
    WorkerRow.enrolled_at: datetime(2026, 3, 4, tzinfo=UTC),
    WorkerRow.changed_at: datetime(2026, 3, 4, tzinfo=UTC),
    WorkerRow.system: {},
}
"""A worker as the first migration's table holds it."""

NewDatabase = Callable[[str], Database]


def test_a_plain_airflow_db_migrate_makes_the_tables(new_database: NewDatabase, tmp_path: Path) -> None:
    database = new_database("migrated")
    if database.url.startswith("mysql"):
        pytest.skip("Airflow's own migrations want MySQL itself, and mysqlclient")
    airflow = Airflow(tmp_path, database, venv=environments.centre(), dags=tmp_path)
    airflow.migrate()
    tables = set(inspect(database.engine()).get_table_names())
    assert tables >= OURS
    assert not tables & {"edge_worker", "edge_job", "edge_logs"}
    airflow.cli("db", "check-migrations")
    airflow.migrate()
    assert database.value(f"SELECT version_num FROM {VERSION_TABLE}") == NEWEST


def test_a_fresh_schema_is_the_migrated_one(new_database: NewDatabase) -> None:
    fresh, upgraded = new_database("fresh"), new_database("upgraded")
    with manager_of(fresh) as manager:
        manager.upgradedb()
        assert manager.check_migration()
    with manager_of(upgraded) as manager:
        manager.upgradedb(use_migration_files=True)
        assert manager.check_migration()
    assert schema(fresh) == schema(upgraded)


def test_tables_without_a_version_are_brought_to_the_newest(new_database: NewDatabase) -> None:
    database = new_database("unstamped")
    with manager_of(database) as manager:
        manager.upgradedb()
        with database.engine().begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
        assert not manager.check_migration()
        manager.upgradedb()
        assert manager.check_migration()


def test_down_and_up_again(new_database: NewDatabase) -> None:
    database = new_database("down")
    with manager_of(database) as manager:
        manager.upgradedb()
        before = schema(database)
        manager.downgrade("base")
        assert set(inspect(database.engine()).get_table_names()) & OURS == {VERSION_TABLE}
        manager.upgradedb(use_migration_files=True)
    assert schema(database) == before


def test_workers_that_were_enrolled_before_orders_are_kept(new_database: NewDatabase) -> None:
    database = new_database("before-orders")
    with manager_of(database) as manager:
        manager.upgradedb()
        manager.downgrade("0001")
        assert "airflow_edge_worker_order" not in inspect(database.engine()).get_table_names()
        with database.engine().begin() as connection:
            workers = table("airflow_edge_worker", *(column(one.key, one.type) for one in BEFORE))
            connection.execute(workers.insert().values({one.key: value for one, value in BEFORE.items()}))
        manager.upgradedb()
        assert manager.check_migration()
    with Session(database.engine()) as session:
        (worker,) = session.scalars(select(WorkerRow))
        assert (worker.name, worker.state, worker.queues) == ("before", WorkerState.IDLE, ["q"])
        assert (worker.maintenance_comment, worker.version_refused, worker.version_warning) == ("", "", "")
        assert (worker.asked_state, worker.asked_queues, worker.added_queues) == (None, None, None)


def test_workers_in_maintenance_are_kept_when_the_tables_are_what_they_were_before_orders(
    new_database: NewDatabase,
) -> None:
    database = new_database("back-before-orders")
    here = {
        **{one.key: value for one, value in BEFORE.items()},
        **dict.fromkeys(("maintenance_comment", "version_refused", "version_warning"), ""),
    }
    with manager_of(database) as manager:
        manager.upgradedb()
        with Session(database.engine()) as session:
            for number, state in enumerate(WorkerState):
                one = {"id": uuid4(), "name": f"worker-{number}", "state": state}
                session.add(WorkerRow(**{**here, **one}))
            session.commit()
        manager.downgrade("0001")
        states = column("state", String())
        with database.engine().connect() as connection:
            kept = connection.scalars(select(states).select_from(table("airflow_edge_worker", states))).all()
    assert len(kept) == len(WorkerState)
    assert set(kept) == {"starting", "idle", "running", "terminating", "offline", "unknown"}


def test_the_sql_can_be_printed(new_database: NewDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    database = new_database("printed")
    # Where a column is changed by making its table anew there is no SQL to print: Airflow prints none for SQLite.
    first = "0001" if database.is_sqlite else NEWEST
    with manager_of(database) as manager:
        manager.downgrade("base", from_revision=first, show_sql_only=True)
        assert "DROP TABLE airflow_edge_job" in capsys.readouterr().out
        with pytest.raises(ValueError, match="--from-revision"):
            manager.downgrade("base", show_sql_only=True)


def test_the_tables_go_with_airflows(new_database: NewDatabase) -> None:
    database = new_database("dropped")
    with manager_of(database) as manager:
        manager.upgradedb()
        with database.engine().begin() as connection:
            manager.drop_tables(connection)
    assert not set(inspect(database.engine()).get_table_names()) & OURS


@contextmanager
def manager_of(database: Database) -> Iterator:
    """The manager with Airflow's own settings for this database."""
    # Airflow makes an engine for coroutines, too, which nothing asks here.
    address = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url}
    if database.url.startswith("mysql"):
        address["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] = "sqlite+aiosqlite://"
    with airflow_configured(address):
        from airflow import settings

        from airflow_edge.store.manager import EdgeTablesManager

        assert settings.NonScopedSession is not None
        with settings.NonScopedSession() as session:
            yield _Committing(EdgeTablesManager(session), session)


class _Committing:
    """Ends the session's transaction before each call: the manager works on connections of its own."""

    def __init__(self, manager, session) -> None:
        self._manager, self._session = manager, session

    def __getattr__(self, name):
        self._session.commit()
        return getattr(self._manager, name)


def schema(database: Database) -> dict[str, object]:
    """All there is to know of our tables."""
    inspector = inspect(database.engine())
    return {table: (_shape(inspector, table), _indexes(database, table)) for table in Base.metadata.tables}


def _shape(inspector: Inspector, table: str) -> object:
    columns = {
        column["name"]: (repr(column["type"]), column["nullable"], column["default"])
        for column in inspector.get_columns(table)
    }
    unique = sorted((str(one["name"]), one["column_names"]) for one in inspector.get_unique_constraints(table))
    return columns, inspector.get_pk_constraint(table), unique


def _indexes(database: Database, table: str) -> object:
    if database.url.startswith("mysql"):
        [row] = database.rows(f"SHOW CREATE TABLE {table}")
        return sorted(line.strip(" ,") for line in row["Create Table"].splitlines())
    sql = (
        "SELECT name, sql AS definition FROM sqlite_master WHERE type = 'index' AND tbl_name = :table"
        if database.is_sqlite
        else "SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = :table"
    )
    return {row["name"]: re.sub(r"\s+", " ", row["definition"] or "") for row in database.rows(sql, table=table)}
