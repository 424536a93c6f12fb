"""Workers and strangers that take as much as they can: what they get is bounded, and the others are served."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from airflow_edge.gateway import bodies
from airflow_edge.gateway.bodies import MOST_STRANGERS, STRANGER_BODY
from airflow_edge.gateway.loops import presence
from airflow_edge.protocol import urls
from airflow_edge.protocol.frames import MAX_SITE_FRAME_BYTES
from tests.integration.gateway.test_execution import held_job
from tests.integration.gateway.world import config

pytestmark = pytest.mark.one_database

JOB = "cae3a4e7-5563-4d2b-8dce-0b08f2d8fe5e:1"


async def half(gateway: str, method: str, path: str, headers: dict[str, str], length: int = 5000):
    """Begin a request whose body does not come."""
    address = urlsplit(gateway)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = {"Host": "centre", "Content-Length": str(length), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"{method} {address.path}{path} HTTP/1.1\r\n{lines}\r\n".encode() + b"x" * 100)
    await writer.drain()
    return reader, writer


def call_headers(site, job: str, path: str) -> dict[str, str]:
    """What a call for this job begins with."""
    return {urls.JOB_HEADER: job, **site.headers("PUT", path, job=job)}


@pytest.mark.held("a WebSocket message that inflates, or is too long")
async def test_a_frame_that_is_too_long_is_refused_by_its_head_before_any_hello(centre):
    site = await centre.site(centre.queue_name())
    async with site.connection(centre.gateway) as connection:
        with suppress(ConnectionClosed):
            await connection.send(bytes(16 * MAX_SITE_FRAME_BYTES))
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.held("many long messages before any Hello")
async def test_few_connections_of_a_worker_wait_for_its_hello(centre):
    site = await centre.site(centre.queue_name())
    async with AsyncExitStack() as stack:
        *_, third = [await stack.enter_async_context(site.connection(centre.gateway)) for _ in range(3)]
        with pytest.raises(ConnectionClosed) as closed:
            await third.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4503
    async with site.link(centre.gateway) as link:
        assert link.welcome.name == site.name


@pytest.mark.attack(16)
@pytest.mark.parametrize("endpoint", ["enrol", "poll", "call"])
async def test_a_request_that_breaks_off_in_its_body_logs_nothing(centre, caplog, endpoint):
    site = await centre.site(centre.queue_name())
    path = {"enrol": urls.ENROLL, "poll": urls.POLL, "call": urls.EXECUTION + "/variables/x"}[endpoint]
    method = "PUT" if endpoint == "call" else "POST"
    headers = {"Content-Type": "application/json", urls.JOB_HEADER: JOB, **site.headers(method, path)}
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            _, writer = await half(centre.gateway, method, path, headers)
            writer.close()
            await writer.wait_closed()
            headers |= site.headers(method, path)
        # Whatever they do is done: a whole request comes after them.
        async with site.link(centre.gateway):
            pass
    # A machine that stands still for a quarter of a minute has other things to say, of other workers.
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not [record.getMessage() for record in said if record.name != presence.__name__]


@pytest.mark.attack(15)
async def test_few_requests_of_strangers_are_under_way_and_a_short_one_each(centre):
    """Once their connections are gone, the next is served."""
    begun = [await half(centre.gateway, "POST", urls.ENROLL, {}) for _ in range(MOST_STRANGERS + 1)]
    refused = await asyncio.wait_for(begun[-1][0].read(2000), 20)
    assert b"503" in refused.partition(b"\r\n")[0]
    assert b"retry-after" in refused.lower()
    for _, writer in begun:
        writer.close()
    status = b"503"
    async with asyncio.timeout(30):
        # As a site does it that wants to be enrolled.
        while status == b"503":
            reader, writer = await half(centre.gateway, "POST", urls.ENROLL, {}, length=STRANGER_BODY + 100)
            writer.write(bytes(STRANGER_BODY))
            status = (await reader.readline()).split()[1]
            writer.close()
    assert status == b"413"


@pytest.mark.attack(4)
async def test_who_takes_up_all_memory_for_calls_keeps_no_other_call_waiting(centre, monkeypatch):
    """Of eight that begin the longest calls and never end them one gets in; an honest worker is served meanwhile."""
    monkeypatch.setattr(bodies, "PATIENCE", 1.0)
    longest = config().call_max_size
    path = urls.EXECUTION + "/variables/x"
    honest = await centre.site(centre.queue_name())
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(held_job(centre)) for _ in range(8)]
        begun = [
            await half(centre.gateway, "PUT", path, call_headers(site, job, path), longest) for site, _, _, job in held
        ]
        async with honest.link(centre.gateway) as link:
            assert link.welcome.name == honest.name
            # It holds no such job, and hears so.
            assert (await honest.call(centre.gateway, "GET", "/variables/x", JOB)).status_code == 409
            answers = asyncio.as_completed([reader.read(2000) for reader, _ in begun], timeout=20)
            refused = [await answer for _, answer in zip(range(7), answers, strict=False)]
        assert all(b"503" in answer.partition(b"\r\n")[0] and b"retry-after" in answer.lower() for answer in refused)
        site, _, _, job = held[0]
        too_long = await half(centre.gateway, "PUT", path, call_headers(site, job, path), longest + 1)
        assert b"413" in await asyncio.wait_for(too_long[0].readline(), 20)
        for _, writer in (*begun, too_long):
            writer.close()
        status = 503
        async with asyncio.timeout(30):
            while status == 503:
                call = site.call(centre.gateway, "PUT", "/variables/x", job, content=bytes(longest))
                status = (await call).status_code
        # It is read, and no JSON.
        assert status == 422


@pytest.mark.attack(4)
async def test_a_long_body_is_not_read_for_who_may_not_call(centre):
    """All others wait for a moment while one is read."""
    path, length = urls.EXECUTION + "/variables/x", config().call_max_size
    site = await centre.site(centre.queue_name())
    foreign = await half(centre.gateway, "PUT", path, call_headers(site, JOB, path), length)
    async with held_job(centre, begun=False) as (owner, _, _, job):
        too_early = await half(centre.gateway, "PUT", path, call_headers(owner, job, path), length)
        for (reader, writer), status in ((foreign, b"409"), (too_early, b"403")):
            assert status in await asyncio.wait_for(reader.readline(), 20)
            writer.close()
