"""Clocks at the centre that are wrong, or are set: what is decided there does not depend on them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from websockets.exceptions import ConnectionClosed

from airflow_edge.gateway.loops import assignments, presence
from airflow_edge.protocol.frames import encode
from airflow_edge.protocol.messages import Accepted, Offer, Ping, Void
from airflow_edge.store.jobs.jobs import Jobs
from tests.integration.gateway.site import Site, SiteLink
from tests.integration.gateway.world import Centre, wait_until

BEAT = 0.4
JUMPS = [timedelta(hours=hours) for hours in (1, 3, -9, 1, 1, 24, -2, 1, 1, 1)]


@pytest.fixture
def centre(engine, monkeypatch) -> Centre:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "secret" * 12)
    for module, name in ((presence, "SETTLING"), (assignments, "LEASES_INTERVAL")):
        monkeypatch.setattr(module, name, BEAT)
    return Centre(engine, "")


@pytest.fixture
def wall():
    with time_machine.travel(datetime.now(UTC), tick=True) as wall:
        yield wall


@pytest.fixture
def done(centre: Centre, monkeypatch) -> Counter[tuple[int, str]]:
    """How often each gateway of this centre has looked after heartbeats, offers and strays since."""
    counts: Counter[tuple[int, str]] = Counter()

    def counted(method: str) -> Callable[..., Any]:
        real = getattr(Jobs, method)

        def call(self: Jobs, *args: Any, **kwargs: Any) -> Any:
            answer = real(self, *args, **kwargs)
            if getattr(self._transactions._session_factory, "_factory", None) is centre.sessions:
                counts[id(self), method] += 1
            return answer

        return call

    for method in ("keep_alive", "expire_leases", "not_held"):
        monkeypatch.setattr(Jobs, method, counted(method))
    return counts


async def again(done: Counter[tuple[int, str]], rounds: int = 3) -> None:
    """Wait until every gateway has done everything some times more, the whole of it once at least."""
    before = Counter(done)
    await wait_until(lambda: dict(done), lambda now: all(now[one] >= before[one] + rounds for one in before))


@asynccontextmanager
async def linked(site: Site, gateway: str) -> AsyncIterator[SiteLink]:
    """A link that is never silent."""

    async def talk(link: SiteLink) -> None:
        with suppress(ConnectionClosed):
            while True:
                await link.connection.send(encode(link.session.send(Ping())))
                await asyncio.sleep(BEAT / 2)

    async with site.link(gateway) as link:
        talking = asyncio.create_task(talk(link))
        yield link
        talking.cancel()


def key(offer):
    return {"job_id": offer.job_id, "assignment": offer.assignment}


async def test_neither_a_job_nor_an_offer_of_a_linked_worker_ends_because_a_clock_is_set(centre: Centre, wall, done):
    queue = centre.queue_name()
    site = centre.trusted_site(queue)
    settings: dict[str, Any] = {"heartbeat_interval": BEAT, "offer_timeout": 600.0}
    with centre.gateway_for_links(**settings) as here, centre.gateway_for_links(**settings):
        async with linked(site, here.url) as link:
            job, offered = centre.queue(queue), centre.queue(queue)
            offers = {offer.job_id: offer for offer in (await link.get(Offer), await link.get(Offer))}
            await link.say(Accepted(**key(offers[str(job.id)])))
            await link.acknowledged()
            await wait_until(lambda: len({gateway for gateway, _ in done}), lambda gateways: gateways >= 2)
            for jump in JUMPS:
                wall.shift(jump)
                await again(done)
                assert (centre.job(job.id).state, centre.job(job.id).reason) == ("running", "")
                assert (centre.job(offered.id).state, centre.job(offered.id).assignment) == ("leased", 1)
                (worker,) = centre.store.workers.with_ids([site.id])
                assert worker.state == "idle"


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
async def test_graces_and_offers_end_though_the_clock_is_set(centre: Centre, wall, jump):
    queue, other = centre.queue_name(), centre.queue_name()
    site = centre.trusted_site(queue, other)
    settings: dict[str, Any] = {"heartbeat_interval": BEAT, "queue_disconnect_grace": {queue: timedelta(seconds=1)}}
    with centre.gateway_for_links(offer_timeout=2.0, **settings) as here:
        async with linked(site, here.url) as link:
            job = centre.queue(queue)
            await link.say(Accepted(**key(await link.get(Offer))))
            await link.acknowledged()
            offered = centre.queue(other)
            await link.get(Offer)
        wall.shift(jump)
        await centre.wait_for_state(offered.id, "queued")
        await centre.wait_for_state(job.id, "lost")
    assert "1s ([edge] queue_disconnect_grace)" in centre.job(job.id).reason


async def test_a_grace_that_ran_while_another_process_looked_goes_on(centre: Centre, wall):
    queue = centre.queue_name()
    site = centre.trusted_site(queue)
    settings: dict[str, Any] = {"heartbeat_interval": BEAT, "disconnect_grace": timedelta(hours=2)}
    with centre.gateway_for_links(**settings) as first:
        async with linked(site, first.url) as link:
            job = centre.queue(queue)
            await link.say(Accepted(**key(await link.get(Offer))))
            await link.acknowledged()
    wall.shift(timedelta(hours=3))
    with centre.gateway_for_links(**settings):
        await centre.wait_for_state(job.id, "lost")


async def test_a_linked_worker_is_told_what_the_centre_does_not_count_with_any_more(centre: Centre, done):
    queue = centre.queue_name()
    site = centre.trusted_site(queue)
    with centre.gateway_for_links(heartbeat_interval=BEAT) as gateway:
        async with linked(site, gateway.url) as link:
            kept, lost = centre.queue(queue), centre.queue(queue)
            for _ in range(2):
                await link.say(Accepted(**key(await link.get(Offer))))
            await link.acknowledged()
            assert centre.store.jobs.lose(site.id, [lost.id], "somebody thinks so", now=datetime.now(UTC)) == [lost.id]
            void = await link.get(Void)
            assert (void.job_id, void.assignment) == (str(lost.id), 1)
            await again(done)
            assert not [message for message in link.passed if isinstance(message, Void)]
            assert centre.job(kept.id).state == "running"
