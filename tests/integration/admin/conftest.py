"""Airflow's API server in this process, with users of every role, on a database of each kind."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from harness.database import PostgresServer, SqliteFiles
from tests.integration.airflow_here import airflow_here

ROLES = ("viewer", "user", "op", "admin")


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def database(request, tmp_path_factory):
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield SqliteFiles(tmp_path_factory.mktemp("admin")).create("admin")
        else:
            yield stack.enter_context(PostgresServer().running()).create("admin")


@pytest.fixture(scope="package")
def api(database, tmp_path_factory):
    """The API, as users of each role and somebody without a token call it."""
    environment = {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home")),
        "AIRFLOW__API_AUTH__JWT_SECRET": "the-secret-of-the-api-tests-" * 2,
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor,airflow_edge.executor.EdgeExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{role}:{role}" for role in ROLES),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
        "AIRFLOW__EDGE__API_ENABLED": "True",
    }
    with airflow_here(environment) as engine, pytest.MonkeyPatch.context() as patch:
        # After its first one, the marks of the gateway in this process are the tests' to leave.
        patch.setattr("airflow_edge.gateway.gateway.MARK_INTERVAL", 3600.0)
        from airflow.api_fastapi.app import create_app, purge_cached_app

        from tests.integration.admin.world import Api, add_teams

        add_teams(engine)
        purge_cached_app()
        with Api(create_app(apps="all"), engine, ROLES) as api:
            yield api
        purge_cached_app()


@pytest.fixture(autouse=True)
def empty(api):
    api.gateway()
    yield
    api.clear()


@pytest.fixture
def task(api, monkeypatch):
    from tests.integration.admin.explained import Explained

    explained = Explained(api, monkeypatch)
    yield explained
    explained.clear()
