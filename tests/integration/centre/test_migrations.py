from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Inspector, inspect

from airflow_edge.store.tables import VERSION_TABLE, Base
from harness import environments
from harness.airflow import Airflow
from harness.database import Database
from tests.integration.airflow_here import airflow_configured

OURS = {*Base.metadata.tables, VERSION_TABLE}
NEWEST = "0001"

NewDatabase = Callable[[str], Database]


def test_a_plain_airflow_db_migrate_makes_the_tables(new_database: NewDatabase, tmp_path: Path) -> None:
    database = new_database("migrated")
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
    """Airflow takes them for the first revision's, also those that it has just made: a later one has to look first."""
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


def test_the_sql_can_be_printed(new_database: NewDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    database = new_database("printed")
    with manager_of(database) as manager:
        manager.downgrade("base", from_revision=NEWEST, show_sql_only=True)
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
    with airflow_configured({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url}):
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
    sql = (
        "SELECT name, sql AS definition FROM sqlite_master WHERE type = 'index' AND tbl_name = :table"
        if database.is_sqlite
        else "SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = :table"
    )
    return {row["name"]: re.sub(r"\s+", " ", row["definition"] or "") for row in database.rows(sql, table=table)}
