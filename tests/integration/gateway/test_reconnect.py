"""Workers that come back: many at once, through what is not quite broken, and with words that were lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from airflow_edge.agent.link import link, websocket
from airflow_edge.protocol.urls import PREFIX
from harness.faults import Direction, FaultProxy
from tests.integration.gateway.worker import at_work
from tests.integration.gateway.world import wait_until

pytestmark = pytest.mark.one_database

WORKERS = 100


async def test_a_hundred_workers_come_back_and_none_is_refused(centre):
    queue = centre.queue_name()
    async with AsyncExitStack() as stack:
        first = centre.gateway_for_links()
        await asyncio.to_thread(first.start)
        second = stack.enter_context(centre.gateway_for_links())
        proxy = stack.enter_context(FaultProxy([first.url, second.url]))
        sites = [centre.trusted_site(queue) for _ in range(WORKERS)]
        workers = [await stack.enter_async_context(at_work(proxy.url + PREFIX, site)) for site in sites]

        def states() -> set[str]:
            return {worker.link.state.state for worker in workers}

        await wait_until(states, lambda found: found == {"linked"}, patience=120)
        proxy.refuse()
        proxy.reset()
        # Half of the conversations are remembered by the gateway to which all go now, and half are not.
        await asyncio.to_thread(first.stop)
        await wait_until(states, lambda found: found == {"connecting"}, patience=60)
        proxy.restore()
        seen = set()

        def all_linked() -> bool:
            seen.update(states())
            return seen != set() and states() == {"linked"}

        await wait_until(all_linked, bool, patience=120)
        assert "refused" not in seen
        assert {worker.welcomes for worker in workers} == {2}
        jobs = [centre.queue(queue) for _ in range(WORKERS)]
        for job in jobs:
            await centre.wait_for_state(job.id, "succeeded", patience=60)
        offers = [offer for worker in workers for offer in worker.offers]
        assert sorted(offers) == sorted((str(job.id), 1) for job in jobs)


async def test_an_offer_that_nobody_hears_goes_elsewhere_and_runs_once(centre):
    queue = centre.queue_name()
    deaf, other = await centre.site(queue), await centre.site(queue)
    with FaultProxy([centre.gateway]) as proxy:
        async with at_work(proxy.url + PREFIX, deaf) as first:
            await first.linked_by("WebSocket")
            proxy.block(Direction.DOWN)
            job = centre.queue(queue)
            await centre.wait_for_state(job.id, "leased")
            async with at_work(centre.gateway, other) as second:
                row = await centre.wait_for_state(job.id, "succeeded", patience=60)
                assert (row.assignment, row.worker_id) == (2, other.id)
                # It comes all the same, but too late: the answer to it does not count, and the worker is told so.
                proxy.restore()
                late = (str(job.id), 1)
                await wait_until(lambda: first.void, lambda void: late in void, patience=60)
                row = centre.job(job.id)
                assert (row.state, row.assignment, row.worker_id) == ("succeeded", 2, other.id)
                assert first.offers == [late]
                assert second.offers == [(str(job.id), 2)]


async def test_an_outcome_that_nobody_hears_is_told_again(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    with FaultProxy([centre.gateway]) as proxy:
        async with at_work(proxy.url + PREFIX, site) as worker:
            await worker.linked_by("WebSocket")
            proxy.block(Direction.UP)
            job = centre.queue(queue)
            await wait_until(lambda: worker.offers, bool)
            proxy.reset()
            proxy.restore()
            row = await centre.wait_for_state(job.id, "succeeded", patience=60)
            assert row.assignment == 1
            assert worker.offers == [(str(job.id), 1)]


async def test_websockets_that_are_cut_right_after_they_were_made_are_given_up(centre):
    site = await centre.site(centre.queue_name())
    with FaultProxy([centre.gateway]) as proxy:
        async with at_work(proxy.url + PREFIX, site) as worker:
            for _ in range(3):
                await worker.attempts(worker.hellos + 1)
                proxy.reset()
            await worker.linked_by("long polling", patience=60)
            assert "do not last" in worker.link.state.reason


async def test_an_upgrade_that_is_never_answered_is_given_up(centre, monkeypatch):
    monkeypatch.setattr(websocket, "OPEN_TIMEOUT", 0.5)
    site = await centre.site(centre.queue_name())
    host, port = centre.gateway.removeprefix("http://").partition("/")[0].split(":")

    async def swallow_upgrades(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"upgrade: websocket" in head.lower():
            await reader.read()
        else:
            up_reader, up_writer = await asyncio.open_connection(host, int(port))
            up_writer.write(head)
            await asyncio.gather(_pass_on(reader, up_writer), _pass_on(up_reader, writer))
        writer.close()

    server = await asyncio.start_server(swallow_upgrades, "127.0.0.1", 0)
    async with server:
        gateway = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PREFIX}"
        async with at_work(gateway, site) as worker:
            await worker.linked_by("long polling", patience=60)
            assert "did not answer in time" in worker.link.state.reason


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_worker_that_never_gets_done_with_a_message_links_again_and_hears_it_again(centre, monkeypatch):
    monkeypatch.setattr(link, "SETTLING_PATIENCE", 0.2)
    queue = centre.queue_name()
    site = await centre.site(queue)
    with FaultProxy([centre.gateway]) as proxy:
        async with at_work(proxy.url + PREFIX, site) as worker:
            await worker.linked_by("WebSocket")
            worker.at_a_loss = True
            job = centre.queue(queue)
            await wait_until(lambda: worker.offers, lambda offers: offers == [(str(job.id), 1)])
            worker.at_a_loss = False
            proxy.reset()
            await wait_until(lambda: worker.welcomes, lambda welcomes: welcomes == 2)
            await centre.wait_for_state(job.id, "succeeded")
            assert worker.offers == [(str(job.id), 1)] * 2
