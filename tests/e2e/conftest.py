from __future__ import annotations

import pytest

from harness.database import PostgresServer, SqliteFiles


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory):
    return SqliteFiles(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres():
    with PostgresServer().running() as server:
        yield server
