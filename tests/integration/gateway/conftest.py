"""One Airflow per kind of database, in this process, with two gateways in front of it."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from harness.database import PostgresServer, SqliteFiles

JWT_SECRET = "the-secret-of-the-gateway-tests-" * 2


@pytest.fixture(scope="session")
def gateway_home(tmp_path_factory):
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request, gateway_home):
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield SqliteFiles(gateway_home).create("gateway")
        else:
            yield stack.enter_context(PostgresServer().running()).create("gateway")


@pytest.fixture(scope="session")
def airflow_database(database, gateway_home):
    """Airflow's ORM on this database, with all tables: its own and ours."""
    environment = {
        "AIRFLOW_HOME": str(gateway_home),
        "AIRFLOW__API_AUTH__JWT_SECRET": JWT_SECRET,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        from airflow import settings
        from airflow.models import import_all_models
        from airflow.models.base import Base as AirflowBase

        from airflow_edge.store.tables import Base

        settings.configure_vars()
        settings.dispose_orm(do_log=False)
        settings.configure_orm()
        import_all_models()
        AirflowBase.metadata.create_all(settings.engine)
        Base.metadata.create_all(settings.engine)
        yield settings.engine
        settings.dispose_orm(do_log=False)
    assert os.environ.get("AIRFLOW__API_AUTH__JWT_SECRET") != JWT_SECRET


@pytest.fixture(scope="session")
def centre(airflow_database):
    from tests.integration.gateway.world import Centre, GatewayServer

    with GatewayServer() as gateway:
        yield Centre(airflow_database, gateway.url)


@pytest.fixture(scope="session")
def other_gateway(centre):
    """A second API server before the same database."""
    from tests.integration.gateway.world import GatewayServer

    with GatewayServer() as gateway:
        yield gateway.url
