"""Workers that go while the centre knows, or wants, something of them that they have not heard of."""

from __future__ import annotations

import pytest

from airflow_edge.protocol.urls import PREFIX
from harness.faults import Direction, FaultProxy
from tests.integration.fleet.fleet import enrolled, linked


@pytest.mark.parametrize(
    ("maintained", "kind", "asked", "gone", "back"),
    [
        (False, "maintenance", "maintenance request", "offline maintenance", "maintenance mode"),
        (True, "exit maintenance", "maintenance exit", "offline", "idle"),
        (True, "shutdown", "shutdown request", "offline maintenance", "maintenance mode"),
    ],
)
async def test_one_that_is_stopped_before_it_hears_an_order(centre, tmp_path, maintained, kind, asked, gone, back):
    with FaultProxy([centre.gateway]) as network:
        async with linked(centre, tmp_path, gateway=network.url + PREFIX) as worker:
            if maintained:
                await worker.ask("maintenance", "new disk")
                await worker.becomes("maintenance mode", "new disk")
            # The centre knows of the link before the worker does.
            await worker.shows(lambda status: status["link"]["state"] == "linked")
            network.block(Direction.DOWN)
            wish = worker.wish(kind, "new disk" if kind == "maintenance" else "")
            assert worker.row().state == asked
            await worker.ask("drain")
            await worker.becomes(gone, "" if gone == "offline" else "new disk")
            assert await worker.agent.ended() == 0
            assert worker.fleet.outcome(wish.order_id).result == ("done" if kind == "shutdown" else "waiting")
            network.reset()
            network.restore()
            await worker.runtime.start()
            await worker.start()
            assert await worker.outcome(wish) == ("done", "")
            await worker.becomes(back, "" if back == "idle" else "new disk")


async def test_one_that_its_gateway_has_long_not_spoken_of_says_goodbye(centre, tmp_path):
    """A worker is missed by the other gateways when its own has stalled; the link may stand all the same."""
    with centre.gateway_for_links(heartbeat_interval=300) as stalled:
        async with enrolled(centre, tmp_path, gateway=stalled.url) as worker:
            await worker.start()
            await worker.shows(lambda status: (status["state"], status["link"]["state"]) == ("idle", "linked"))
            await worker.becomes("unknown")
            link = worker.row().link_id
            await worker.ask("drain")
            assert await worker.agent.ended() == 0
            await worker.becomes("offline")
            assert (link is not None, worker.row().link_id) == (True, None)
