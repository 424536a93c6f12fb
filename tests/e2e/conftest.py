from __future__ import annotations

import pytest

from harness.database import PostgresServer, SqliteFiles
from tests.e2e.world import open_world


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory):
    return SqliteFiles(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres():
    with PostgresServer().running() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def world(request, tmp_path_factory):
    """A centre with one worker, kept for all tests that only need one of each: name a database to have just that."""
    databases = request.getfixturevalue({"sqlite": "sqlite", "postgresql": "postgres"}[request.param])
    with open_world(tmp_path_factory.mktemp(f"world-{request.param}"), databases) as world:
        yield world
