"""An API server whose connections Airflow has used up, and whose loop it blocks: that is no fault of the workers'."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, ExitStack

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from airflow_edge.protocol.states import WorkerState
from tests.integration.gateway.site import Site
from tests.integration.gateway.worker import at_work
from tests.integration.gateway.world import Centre, GatewayServer, links_only, wait_until

HEARTBEAT = 0.4
BLOCKED = 10 * HEARTBEAT
"""Seconds; more than three times as long as a worker may be silent."""


@pytest.fixture
def airflow_engine(engine):
    """Airflow's own engine, with a small pool that is not waited for long."""
    airflow_engine = create_engine(engine.url, pool_size=2, max_overflow=1, pool_timeout=1.0)
    yield airflow_engine
    airflow_engine.dispose()


async def test_links_stay_and_jobs_go_on_where_airflow_has_used_up_its_pool_and_blocks_the_loop(engine, airflow_engine):
    server = GatewayServer(links_only(sessionmaker(airflow_engine), heartbeat_interval=HEARTBEAT))
    async with AsyncExitStack() as stack:
        stack.enter_context(server)
        centre = Centre(engine, server.url)
        queues = [centre.queue_name() for _ in range(2)]
        sites = [await centre.site(queue) for queue in queues]
        workers = [await stack.enter_async_context(at_work(server.url, sites[0]))]
        await workers[0].linked_by("WebSocket")
        workers.append(await stack.enter_async_context(at_work(server.url, sites[1], polling=True)))
        await workers[1].linked_by("long polling")

        held = stack.enter_context(ExitStack())
        for _ in range(3):
            held.enter_context(airflow_engine.connect())
        for _ in range(2):
            server.block(BLOCKED)
            jobs = [centre.queue(queue) for queue in queues for _ in range(3)]
            for job in jobs:
                await centre.wait_for_state(job.id, "succeeded")
        assert [worker.welcomes for worker in workers] == [1, 1]
        assert all(assignment == 1 for worker in workers for _, assignment in worker.offers)
        for site in sites:
            await centre.wait_for_heartbeat(site.id)
            assert _state(centre, site) is WorkerState.IDLE


async def test_a_worker_that_is_silent_is_noticed_all_the_same(engine, airflow_engine):
    with GatewayServer(links_only(sessionmaker(airflow_engine), heartbeat_interval=HEARTBEAT)) as server:
        centre = Centre(engine, server.url)
        site = await centre.site(centre.queue_name())
        began = time.monotonic()
        async with site.link(server.url) as link:
            assert (await link.closed())[0] == 4408
        assert time.monotonic() - began < 10
        await wait_until(lambda: _state(centre, site), lambda state: state is WorkerState.UNKNOWN, patience=20)


def _state(centre: Centre, site: Site) -> WorkerState:
    worker = centre.store.workers.get(site.id)
    assert worker is not None
    return worker.state
