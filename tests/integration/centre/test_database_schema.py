"""`[database] sql_alchemy_schema`: our tables are where Airflow's are, and no search path leads there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import inspect

from airflow_edge.store.schema import revisions
from airflow_edge.store.tables import VERSION_TABLE, Base
from harness.database import Database, PostgresServer
from harness.processes import run

OURS = {*(table.name for table in Base.metadata.sorted_tables), VERSION_TABLE}
ROOT = Path(__file__).parents[3]

MANAGE = """
import sys
from airflow import settings
settings.configure_vars()
settings.configure_orm()
from airflow.models import import_all_models
from airflow.models.base import Base as Airflows
from airflow_edge.store.airflow_tables import running_schedulers, states_of
from airflow_edge.store.manager import EdgeTablesManager
from airflow_edge.store.schema import look
from airflow_edge.store.tables import Base
with settings.Session() as session:
    manager = EdgeTablesManager(session)
    match sys.argv[1]:
        case "create" | "upgrade" as way:
            import_all_models()
            Airflows.metadata.create_all(settings.engine)
            manager.upgradedb(use_migration_files=way == "upgrade")
            assert manager.check_migration()
            assert look(session.connection()) == "current"
            assert session.scalars(running_schedulers()).all() == []
            import uuid
            assert states_of(session, [uuid.uuid4()]) == {}
        case "drop":
            with settings.engine.begin() as connection:
                manager.drop_tables(connection)
            assert look(session.connection()) == "missing"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer().running() as server:
        yield server


@pytest.fixture
def database(server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Database]:
    database = server.create("placed")
    with database.engine().begin() as connection:
        connection.exec_driver_sql('CREATE SCHEMA "Af"')
    yield database
    server.drop(database)


def environment(tmp_path: Path, database: Database | None = None) -> Mapping[str, str]:
    here = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA": "Af"}
    if database is not None:
        here["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = database.url
    return os.environ | here


@pytest.mark.parametrize("way", ["create", "upgrade"])
def test_our_tables_are_in_airflows_schema_however_they_were_made(database: Database, tmp_path: Path, way: str) -> None:
    run([sys.executable, "-c", MANAGE, way], env=environment(tmp_path, database), cwd=ROOT)
    there = inspect(database.engine())
    assert set(there.get_table_names(schema="Af")) >= OURS
    assert there.get_table_names(schema="public") == []
    assert database.value(f'SELECT version_num FROM "Af".{VERSION_TABLE}') == revisions()[-1]
    run([sys.executable, "-c", MANAGE, "drop"], env=environment(tmp_path, database), cwd=ROOT)
    assert not OURS & set(inspect(database.engine()).get_table_names(schema="Af"))


def test_the_contract_holds_there(tmp_path: Path) -> None:
    contract = [f"tests/contract/test_{name}.py" for name in ("jobs", "orders", "workers", "overview")]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "postgresql and not psycopg",
        *contract,
    ]
    run(command, env=environment(tmp_path), cwd=ROOT)
