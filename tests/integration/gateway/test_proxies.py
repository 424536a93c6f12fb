"""The agent's link and the gateway with a real nginx between them."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack, ExitStack, suppress
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from airflow_edge.agent.link import fallback
from airflow_edge.protocol.urls import PREFIX
from harness.nginx import HOW_TO_INSTALL, WITH_UPGRADES, Nginx, find_nginx
from tests.integration.gateway.worker import at_work

pytestmark = [pytest.mark.one_database, pytest.mark.skipif(find_nginx() is None, reason=HOW_TO_INSTALL)]


def address(gateway: str) -> str:
    return urlsplit(gateway).netloc


BLOCKED = {
    "without the upgrade": ("", "426"),
    "refused with 400": ("if ($http_upgrade) { return 400; }", "answers 400"),
    "refused with 403": ("if ($http_upgrade) { return 403; }", "answers 403"),
    "refused with 502": ("if ($http_upgrade) { return 502; }", "502"),
}


@pytest.mark.parametrize(("directives", "reason"), BLOCKED.values(), ids=BLOCKED)
async def test_where_websockets_are_killed_work_goes_on_by_long_polling(centre, tmp_path, directives, reason):
    queue = centre.queue_name()
    site = await centre.site(queue)
    with Nginx(tmp_path / "nginx", [address(centre.gateway)], directives) as nginx:
        async with at_work(nginx.url + PREFIX, site) as worker:
            await worker.linked_by("long polling")
            if reason != "426":
                assert reason in worker.link.state.reason
            assert "WebSockets do not get through" in worker.link.state.reason
            # A request of the worker's waits at the gateway now. Neither the offer nor the outcome waits with it.
            await asyncio.sleep(0.5)
            began = time.monotonic()
            jobs = [centre.queue(queue) for _ in range(10)]
            for job in jobs:
                await centre.wait_for_state(job.id, "succeeded")
            assert time.monotonic() - began < 10
            assert sorted(worker.offers) == sorted((str(job.id), 1) for job in jobs)


async def test_the_websocket_is_taken_again_and_nothing_is_lost_on_the_way(centre, tmp_path, monkeypatch):
    monkeypatch.setattr(fallback, "FIRST_PAUSE", 0.5)
    monkeypatch.setattr(fallback, "LONGEST_PAUSE", 0.5)
    queue = centre.queue_name()
    site = await centre.site(queue)
    blocked = tmp_path / "blocked"
    blocked.touch()
    directives = f'set $refuse ""; if (-f {blocked}) {{ set $refuse $http_upgrade; }} if ($refuse) {{ return 405; }}'
    with Nginx(tmp_path / "nginx", [address(centre.gateway)], WITH_UPGRADES + directives) as nginx:
        async with at_work(nginx.url + PREFIX, site) as worker:
            await worker.linked_by("long polling")
            jobs = []
            for number in range(40):
                jobs.append(centre.queue(queue))
                if number == 15:
                    blocked.unlink()
                await asyncio.sleep(0.05)
            await worker.linked_by("WebSocket")
            assert worker.link.state.reason == ""
            jobs.append(centre.queue(queue))
            for job in jobs:
                await centre.wait_for_state(job.id, "succeeded", patience=40)
            # What was claimed for the link while it was being replaced has a later assignment.
            assert {job_id for job_id, _ in worker.offers} == {str(job.id) for job in jobs}
            assert worker.welcomes == 2


async def test_a_proxy_that_cuts_idle_connections_after_20_s_disturbs_no_link(centre, tmp_path):
    pings, polls = await centre.site(centre.queue_name()), await centre.site(centre.queue_name())
    # Heartbeats are so rare here that only the pings, and the answers to polls, are in time.
    with ExitStack() as stack:
        gateway = stack.enter_context(centre.gateway_for_links(heartbeat_interval=120.0, websocket_ping=None))
        cut = "proxy_read_timeout 20s; proxy_send_timeout 20s; send_timeout 20s; keepalive_timeout 20s;"
        servers = [address(gateway.url)]
        open_ = stack.enter_context(Nginx(tmp_path / "open", servers, WITH_UPGRADES + cut))
        closed = stack.enter_context(Nginx(tmp_path / "closed", servers, cut))
        async with (
            at_work(open_.url + PREFIX, pings) as by_websocket,
            at_work(closed.url + PREFIX, polls) as by_polling,
        ):
            await by_websocket.linked_by("WebSocket")
            await by_polling.linked_by("long polling")
            idle = await centre.site(centre.queue_name())
            async with idle.link(open_.url + PREFIX) as link:
                began = time.monotonic()
                with suppress(ConnectionClosed):
                    async with asyncio.timeout(30):
                        await link.connection.recv()
                assert 15 < time.monotonic() - began < 28, "a connection without pings has to be cut"
            await asyncio.sleep(max(0.0, began + 36 - time.monotonic()))
            assert (by_websocket.welcomes, by_polling.welcomes) == (1, 1)
            assert by_websocket.link.state.state == by_polling.link.state.state == "linked"


async def test_eight_api_servers_without_affinity_are_one_centre_and_no_request_is_in_vain(centre, tmp_path):
    """nginx as it is installed: each request goes to the next server, over a connection of its own."""
    queue = centre.queue_name()
    sites = [await centre.site(queue) for _ in range(5)]
    with ExitStack() as stack:
        interval = {"dispatch_poll_interval": 0.2}
        gateways = [stack.enter_context(centre.gateway_for_links(**interval)) for _ in range(8)]
        nginx = stack.enter_context(Nginx(tmp_path / "nginx", [address(gateway.url) for gateway in gateways]))
        async with AsyncExitStack() as workers:
            linked = [await workers.enter_async_context(at_work(nginx.url + PREFIX, site)) for site in sites]
            for worker in linked:
                await worker.linked_by("long polling")
            began = time.monotonic()
            jobs = [centre.queue(queue) for _ in range(40)]
            for job in jobs:
                await centre.wait_for_state(job.id, "succeeded")
            assert time.monotonic() - began < 20
            assert sorted(offer for worker in linked for offer in worker.offers) == sorted(
                (str(job.id), 1) for job in jobs
            )
            assert [worker.welcomes for worker in linked] == [1] * 5
            answers = re.findall(r'POST \S+/v1/poll\S* HTTP/1.1" (\d+)', (tmp_path / "nginx/access.log").read_text())
            assert len(answers) >= 20
            assert set(answers) == {"200"}
