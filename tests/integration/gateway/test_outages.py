"""A gateway whose database is not there, or not ready, and what is told to whom."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from websockets.exceptions import InvalidStatus

from airflow_edge.gateway.app import create_app
from airflow_edge.protocol import urls
from airflow_edge.protocol.messages import Accepted, Ended, Offer, Refused, Released, Status
from airflow_edge.protocol.states import WorkerState
from harness.client import NO_CAS
from harness.database import PostgresServer, SqliteFiles
from tests.integration.airflow_here import make_tables
from tests.integration.gateway.world import Centre, GatewayServer, config, mounted, wait_until


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "secret" * 12)


@pytest.fixture(scope="module")
def failing_server():
    with PostgresServer(durable=True).running() as server:
        yield server


@pytest.fixture
def failing_centre(failing_server):
    """A centre on a database server that the test may stop, with a gateway for links."""
    database = failing_server.create(uuid4().hex)
    engine = create_engine(database.url, pool_pre_ping=True, connect_args={"connect_timeout": 3})
    make_tables(engine)
    centre = Centre(engine, "")
    with centre.gateway_for_links(dispatch_poll_interval=0.2) as gateway:
        centre.gateway = gateway.url
        yield centre
    engine.dispose()


async def test_a_link_outlives_its_database_and_what_was_said_is_not_lost(failing_server, failing_centre):
    centre = failing_centre
    queue = centre.queue_name()
    site = centre.trusted_site(queue)
    async with site.link(centre.gateway) as link:
        job = centre.queue(queue)
        offer = await link.get(Offer)
        name = {"job_id": offer.job_id, "assignment": offer.assignment}
        await link.say(Accepted(**name))
        await link.acknowledged()
        failing_server.stop(crash=True)
        await link.say(Released(**name), Ended(**name, exit_code=0))
        await link.say(Status(state=WorkerState.IDLE, alive=()))
        with pytest.raises(InvalidStatus) as caught:
            async with centre.stranger().connection(centre.gateway):
                pass
        assert caught.value.response.status_code == 503
        assert b'"not_ready"' in caught.value.response.body
        assert link.session.outstanding == 2
        # In this thread: the server dies with the thread that started it.
        failing_server.start()
        await link.acknowledged()
        assert centre.job(job.id).state == "succeeded"
        # All is as before: also the loops go on, and notifications arrive again.
        second = centre.queue(queue)
        assert (await link.get(Offer)).job_id == str(second.id)


async def test_a_job_is_offered_at_once_where_the_database_notifies(failing_centre):
    queue = failing_centre.queue_name()
    site = failing_centre.trusted_site(queue)
    with failing_centre.gateway_for_links(dispatch_poll_interval=60.0) as gateway:
        async with site.link(gateway.url, concurrency=9) as link:
            for _ in range(5):
                began = time.monotonic()
                failing_centre.queue(queue)
                await link.get(Offer)
                # Without notifications the queue would be looked at after 5 s.
                assert time.monotonic() - began < 2.5


async def test_a_refused_job_is_at_another_gateway_at_once_where_the_database_notifies(failing_centre):
    queue = failing_centre.queue_name()
    one, other = failing_centre.trusted_site(queue), failing_centre.trusted_site(queue)
    with (
        failing_centre.gateway_for_links(dispatch_poll_interval=60.0) as first,
        failing_centre.gateway_for_links(dispatch_poll_interval=60.0) as second,
    ):
        async with one.link(first.url) as link:
            job = failing_centre.queue(queue)
            offer = await link.get(Offer)
            async with other.link(second.url) as another:
                # The second gateway has looked at the queue by now, and found nothing.
                await link.say(Refused(job_id=offer.job_id, assignment=1, reason="no disk"))
                began = time.monotonic()
                again = await another.get(Offer)
                assert time.monotonic() - began < 2.5
                assert (again.job_id, again.assignment) == (str(job.id), 2)


async def test_missing_tables_are_named_and_waited_for(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("airflow_edge.gateway.gateway.LONGEST_PAUSE", 1.0)
    database = SqliteFiles(tmp_path).create("empty")
    engine = create_engine(database.url)
    app = mounted(session_factory=sessionmaker(engine))
    with caplog.at_level(logging.ERROR), GatewayServer(app, wait=False) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, verify=NO_CAS, timeout=60) as client:
            health = await client.get(urls.HEALTH)
            assert (health.status_code, health.json()["status"]) == (503, "not_ready")
            await wait_until(lambda: "airflow db migrate" in caplog.text, bool, patience=60)
            answer = await client.post(urls.ENROLL, json={})
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert "airflow db migrate" in answer.json()["detail"]
            assert answer.headers["retry-after"]
            make_tables(engine)
            await wait_until(
                lambda: httpx.get(server.url + urls.HEALTH, trust_env=False, verify=NO_CAS, timeout=60).status_code,
                lambda status: status == 200,
                patience=60,
            )
    engine.dispose()


async def test_a_gateway_that_cannot_start_does_not_stop_the_api_server(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH", "/does/not/exist")
    with caplog.at_level(logging.ERROR), GatewayServer(mounted(), wait=False) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            answer = await client.post(urls.ENROLL, json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "could not start" in answer.json()["detail"]
    assert "could not start" in caplog.text


LOAD = """
import asyncio
from airflow_edge.gateway.task_api import TaskApi

async def load():
    async with TaskApi().running():
        print("loaded")

asyncio.run(load())
"""


def test_what_the_api_servers_start_waits_for_needs_no_database(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        # Connections are made, and nothing is ever said on them.
        nobody.listen()
        away = f"postgresql+psycopg2://nobody@127.0.0.1:{nobody.getsockname()[1]}/none"
        environment = {
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-this-test" * 4,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": away,
        }
        done = subprocess.run(
            [sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, timeout=180, check=False
        )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["loaded"]), done.stderr


class TestDisabled:
    """Where `[edge] api_enabled` is off."""

    @pytest.fixture
    def client(self):
        transport = httpx.ASGITransport(app=create_app(config(api_enabled=False)))
        return httpx.AsyncClient(transport=transport, base_url="http://centre")

    @pytest.mark.parametrize("path", ["/", urls.HEALTH, urls.ENROLL, urls.LINK, "/v1/worker/x", f"{urls.EXECUTION}/x"])
    @pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
    async def test_every_call_is_told_what_to_set(self, client, method, path):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (503, "api_not_enabled")
        assert "[edge] api_enabled = True" in answer.json()["detail"]

    async def test_an_upgrade_too(self):
        with GatewayServer(mounted(api_enabled=False), wait=False) as server, pytest.raises(InvalidStatus) as caught:
            async with Centre.stranger().connection(server.url):
                pass
        assert caught.value.response.status_code == 503
        assert b'"api_not_enabled"' in caught.value.response.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/worker/old", 410),
        ("PATCH", "/v1/worker/old", 410),
        ("POST", "/v1/jobs/fetch/old", 410),
        ("GET", "/v1/rpcapi", 410),
        ("GET", "/v1/nothing", 404),
        ("GET", "", 404),
        ("DELETE", urls.HEALTH, 405),
        ("GET", urls.ENROLL, 405),
    ],
)
async def test_every_other_address_is_answered_with_a_problem(method, path, status):
    transport = httpx.ASGITransport(app=create_app(config()))
    async with httpx.AsyncClient(transport=transport, base_url="http://centre") as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 410:
        assert "pip install 'airflow-edge[worker]'" in answer.json()["detail"]
