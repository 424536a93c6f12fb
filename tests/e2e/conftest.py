from __future__ import annotations

import pytest

from harness.airflow import MigratedDatabases
from harness.database import PostgresServer, SqliteFiles
from tests.e2e.world import centre, open_world


@pytest.fixture(scope="package")
def postgres_server():
    with PostgresServer().running() as server:
        yield server


@pytest.fixture(scope="package")
def sqlite(tmp_path_factory):
    """Makes SQLite databases with the centre's tables in them."""
    folder = tmp_path_factory.mktemp("sqlite")
    return MigratedDatabases(SqliteFiles(folder), folder, venv=centre())


@pytest.fixture(scope="package")
def postgres(postgres_server, tmp_path_factory):
    """Makes PostgreSQL databases with the centre's tables in them."""
    return MigratedDatabases(postgres_server, tmp_path_factory.mktemp("postgres"), venv=centre())


@pytest.fixture(scope="package", params=["postgresql"])
def world(request, tmp_path_factory):
    """A centre with one worker, kept for all tests that only need one of each.

    With SQLite where a test names it: README, tutorial and the pages are tried with it, too.
    """
    migrated = request.getfixturevalue({"sqlite": "sqlite", "postgresql": "postgres"}[request.param])
    with open_world(tmp_path_factory.mktemp(f"world-{request.param}"), migrated) as world:
        yield world
