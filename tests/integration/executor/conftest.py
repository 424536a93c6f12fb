"""Airflow's ORM on a database of each kind, with all tables, and schedulers that are driven step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.database import Database, PostgresServer, SqliteFiles
from tests.integration.airflow_here import airflow_here


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request, tmp_path_factory) -> Iterator[Database]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield SqliteFiles(tmp_path_factory.mktemp("executor")).create("airflow")
        else:
            yield stack.enter_context(PostgresServer().running()).create("airflow")


@pytest.fixture(scope="module")
def airflow_database(database, tmp_path_factory) -> Iterator[None]:
    """Airflow's ORM in this process on this database, with its own tables and ours."""
    environment = {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home")),
        "AIRFLOW__API_AUTH__JWT_SECRET": "the-secret-of-the-executor-tests-" * 2,
        "AIRFLOW__CORE__EXECUTOR": "airflow_edge.executor.EdgeExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
    }
    with airflow_here(environment):
        yield


@pytest.fixture
def centre(airflow_database):
    from tests.integration.executor.world import Centre

    centre = Centre()
    yield centre
    centre.close()
