"""Several processes with one key, at one gateway or two: who has it keeps it for as long as it answers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosedError

from airflow_edge.protocol.messages import Accepted, HeldJob, Offer, Ping, Rejected, Status, Welcome
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.session import site_session
from airflow_edge.protocol.states import WorkerState
from tests.integration.gateway.site import SiteLink
from tests.integration.gateway.world import wait_until

pytestmark = pytest.mark.one_database

CLONES = 20


def process(instance=None, **changes):
    return {"instance": instance or str(uuid4()), "life": str(uuid4()), **changes}


@asynccontextmanager
async def living(site, gateway, **hello):
    """A link of a process that answers when it is asked, as the agent does."""
    async with site.link(gateway, **hello) as link:
        await link.say(Status(state=WorkerState.IDLE, alive=()))

        async def answer():
            while True:
                message = await link.next()
                if isinstance(message, Ping) and message.asks:
                    await link.say(Ping(answers=message.asks))
                else:
                    link.passed.append(message)

        answering = asyncio.create_task(answer())
        try:
            yield link
        finally:
            answering.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await answering


async def knock(site, gateway, **hello):
    """What the centre says to somebody who wants to link; a welcomed one is gone again at once."""
    session = site_session(uuid4().hex)
    async with site.connection(gateway) as connection:
        link = SiteLink(connection, session)
        await link.say(site.hello(session, **hello))
        return await link.next()


@pytest.fixture(params=["WebSocket", "long polling"])
def transport(request):
    return request.param


async def test_another_instance_is_refused_at_every_gateway(centre, other_gateway, transport):
    site = await centre.site(centre.queue_name())
    site.transport = transport
    async with living(site, centre.gateway, **process(host="pi-1")) as first:
        for number, gateway in enumerate([centre.gateway, other_gateway]):
            answer = await knock(site, gateway, **process(host=f"copy-{number}"))
            assert isinstance(answer, Rejected)
            assert answer.code == "other_instance"
            assert "'pi-1' at 127.0.0.1" in answer.message
        worker = centre.store.workers.get(site.id)
        assert [other.host_name for other in worker.other_instances] == ["copy-0", "copy-1"]
        assert str(worker.link_id) == first.welcome.link


async def test_a_copy_that_says_it_is_the_same_is_told_from_a_restart_by_who_answers(centre, other_gateway, transport):
    site = await centre.site(centre.queue_name())
    site.transport = transport
    first = process()
    async with living(site, centre.gateway, **first) as link:
        copy = process(first["instance"], last_link=link.welcome.link)
        for gateway in (centre.gateway, other_gateway):
            answer = await knock(site, gateway, **copy)
            assert isinstance(answer, Rejected)
            assert answer.code == "copied_instance"
    # The process has ended: this is its restart.
    await wait_until(lambda: centre.store.workers.get(site.id), lambda worker: worker is not None)
    assert isinstance(await knock(site, other_gateway, **copy), Welcome)


async def test_a_process_that_does_not_answer_makes_room_for_its_restart(centre, other_gateway):
    site = await centre.site(centre.queue_name())
    first = process()
    for gateway in (centre.gateway, other_gateway):
        async with site.link(centre.gateway, **first) as silent:
            restarted = process(first["instance"], last_link=silent.welcome.link)
            assert isinstance(await knock(site, gateway, **restarted), Welcome)
            assert (await silent.closed())[0] == CloseCode.REPLACED
        first = restarted
        worker = centre.store.workers.get(site.id)
        assert worker.other_instances == ()
        first["last_link"] = str(worker.link_id)


async def test_the_same_process_takes_its_half_open_link_over_at_once(centre, other_gateway):
    site = await centre.site(centre.queue_name())
    first = process()
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(site.link(centre.gateway, **first))]
        for gateway in (centre.gateway, other_gateway, centre.gateway):
            again = {**first, "last_link": links[-1].welcome.link}
            links.append(await stack.enter_async_context(site.link(gateway, **again)))
            assert (await links[-2].closed())[0] == CloseCode.REPLACED
        assert centre.store.workers.get(site.id).other_instances == ()


async def test_a_dead_gateway_keeps_no_restart_out(centre):
    site = await centre.site(centre.queue_name())
    first = process()
    dead = centre.gateway_for_links()
    await asyncio.to_thread(dead.start)
    async with site.link(dead.url, **first) as link:
        await asyncio.to_thread(dead.stop)
    restarted = process(first["instance"], last_link=link.welcome.link)
    assert isinstance(await knock(site, centre.gateway, **restarted), Welcome)


async def test_of_twenty_copies_at_once_one_lives(centre, other_gateway):
    site = await centre.site(centre.queue_name())
    gateways = [centre.gateway, other_gateway]
    async with AsyncExitStack() as stack:

        async def try_once(number):
            hello = process()
            while True:
                try:
                    return await stack.enter_async_context(living(site, gateways[number % 2], **hello))
                except ConnectionClosedError as error:
                    # So many at once have not said who they are; an agent comes again, too.
                    if error.rcvd is not None and error.rcvd.code != CloseCode.UNREADY:
                        raise
                except (AssertionError, TimeoutError):
                    return None

        links = await asyncio.gather(*(try_once(number) for number in range(CLONES)), return_exceptions=True)
        (link,) = [one for one in links if isinstance(one, SiteLink)]
        worker = centre.store.workers.get(site.id)
        assert str(worker.link_id) == link.welcome.link
        assert len(worker.other_instances) == CLONES - 1
        # It has the key for good.
        assert isinstance(await knock(site, other_gateway, **process()), Rejected)
        assert str(centre.store.workers.get(site.id).link_id) == link.welcome.link


async def test_jobs_stay_with_the_instance_that_has_them(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    first, second = process(), process()
    async with living(site, centre.gateway, **first) as link:
        job = centre.queue(queue)
        offer = await link.get(Offer) if not link.passed else None
        offer = offer or next(one for one in link.passed if isinstance(one, Offer))
        await link.say(Accepted(job_id=offer.job_id, assignment=offer.assignment))
        await centre.wait_for_state(job.id, "running")
    centre.store.workers.seen({site.id: WorkerState.UNKNOWN}, {}, now=centre.job(job.id).started_at)
    assert isinstance(await knock(site, centre.gateway, **second), Welcome)
    row = centre.job(job.id)
    assert (row.state, str(row.instance)) == ("running", first["instance"])
    centre.store.workers.seen({site.id: WorkerState.UNKNOWN}, {}, now=centre.job(job.id).started_at)
    held = HeldJob(job_id=str(job.id), assignment=row.assignment, phase="running")
    assert isinstance(await knock(site, centre.gateway, **first, jobs=(held,)), Welcome)
    row = centre.job(job.id)
    assert (row.state, row.instance, row.left_at) == ("running", None, None)
