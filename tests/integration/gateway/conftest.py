"""One Airflow per kind of database, in this process, with two gateways in front of it.

It lasts as long as the tests of this folder: its settings are in the environment of the process, and no other test may
see them.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial

import pytest
from sqlalchemy import create_engine

from airflow_edge.gateway.refusals import Refusals
from harness.database import PostgresServer, SqliteFiles
from tests.integration.airflow_here import airflow_here, make_tables

BASE_PATH = "/deep/airflow"
"""Where the same gateway is reached, as behind a `[api] base_url` with a path."""

JWT_SECRET = "the-secret-of-the-gateway-tests-" * 2


@pytest.fixture(scope="package")
def gateway_home(tmp_path_factory):
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def database(request, gateway_home):
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield SqliteFiles(gateway_home).create("gateway")
        else:
            yield stack.enter_context(PostgresServer().running()).create("gateway")


@pytest.fixture(scope="package")
def airflow_database(database, gateway_home):
    """Airflow's configuration and ORM on this database, with all tables: its own and ours."""
    environment = {
        "AIRFLOW_HOME": str(gateway_home),
        "AIRFLOW__API_AUTH__JWT_SECRET": JWT_SECRET,
        "AIRFLOW__CORE__EXECUTOR": "airflow_edge.executor.EdgeExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
        "AIRFLOW__EDGE__API_ENABLED": "True",
        "AIRFLOW__EDGE__DISPATCH_POLL_INTERVAL": "0.05",
        "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "airflow_edge.logs.LOGGING_CONFIG",
    }
    with airflow_here(environment) as engine:
        yield engine
    assert os.environ.get("AIRFLOW__API_AUTH__JWT_SECRET") != JWT_SECRET


@pytest.fixture(scope="package")
def centre(airflow_database):
    from airflow.api_fastapi.app import create_app, purge_cached_app

    from airflow_edge.gateway.access import denials
    from tests.integration.gateway.world import Centre, GatewayServer, serve_below

    app = create_app(apps="all")
    serve_below(BASE_PATH, app)
    with pytest.MonkeyPatch.context() as patch:
        # Nothing else depends on how often it writes down what was denied, and a test would wait for it.
        patch.setattr(denials, "INTERVAL", 0.1)
        with GatewayServer(app) as gateway:
            yield Centre(airflow_database, gateway.url)
    purge_cached_app()


@pytest.fixture(scope="package")
def other_gateway(centre):
    """A second API server before the same database."""
    with centre.gateway_for_links() as gateway:
        yield gateway.url


@pytest.fixture(scope="package")
def trusting_gateway(centre):
    """An API server where the shared secret is enough to enrol."""
    with centre.gateway_for_links(allow_shared_secret_enrollment=True) as gateway:
        yield gateway.url


@pytest.fixture(scope="session", autouse=True)
def refused_at_once():
    """Tests are refused more often than anybody has a reason to be, and all strangers wait together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_edge.gateway.gateway.Refusals", partial(Refusals, burst=1_000_000))
        yield


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request, tmp_path_factory):
    """A database with nothing but the tables: whoever uses it has the only gateways on it."""
    if request.param == "sqlite":
        url = SqliteFiles(tmp_path_factory.mktemp("database")).create("loops").url
        engine = create_engine(url)
        make_tables(engine)
        yield engine
        engine.dispose()
    else:
        with PostgresServer().running() as server:
            engine = create_engine(server.create("loops").url)
            make_tables(engine)
            yield engine
            engine.dispose()
