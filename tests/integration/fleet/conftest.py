"""A gateway on a real socket before PostgreSQL, for real agents. What the stores do each is in the contract tests."""

from __future__ import annotations

import pytest

from harness.database import PostgresServer
from tests.integration.fleet.fleet import HEARTBEAT
from tests.integration.gateway.conftest import airflow_database, gateway_home

__all__ = ["airflow_database", "gateway_home"]


@pytest.fixture(scope="package")
def database():
    with PostgresServer().running() as server:
        yield server.create("fleet")


@pytest.fixture(scope="package")
def centre(airflow_database):
    """A gateway that soon misses those it does not hear of."""
    from tests.integration.gateway.world import Centre

    centre = Centre(airflow_database, "")
    with centre.gateway_for_links(heartbeat_interval=HEARTBEAT) as gateway:
        centre.gateway = gateway.url
        yield centre
