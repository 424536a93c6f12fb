"""A link from its beginning to its end, over real sockets."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from airflow_edge.protocol.frames import decode_centre_frame
from airflow_edge.protocol.messages import (
    Accepted,
    Ended,
    Goodbye,
    HeldJob,
    Offer,
    Ping,
    Refused,
    Rejected,
    Released,
    Signed,
    Status,
    Stop,
    Void,
)
from airflow_edge.protocol.session import site_session
from airflow_edge.protocol.states import WorkerState
from tests.integration.gateway.site import Site, SiteLink
from tests.integration.gateway.world import wait_until

pytestmark = pytest.mark.one_database


@pytest.fixture(autouse=True, params=["WebSocket", "long polling"])
def transport(request, monkeypatch):
    """A link is a link, however it is made."""
    monkeypatch.setattr(Site, "transport", request.param)
    return request.param


def key(offer):
    return {"job_id": offer.job_id, "assignment": offer.assignment}


async def test_a_job_travels_from_the_queue_to_its_end(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway) as link:
        assert link.welcome.name == site.name
        assert link.welcome.queues == (queue,)
        job = centre.queue(queue, workload='{"täsk":1}', slots=2)
        offer = await link.get(Offer)
        assert (offer.job_id, offer.assignment, offer.slots) == (str(job.id), 1, 2)
        assert offer.workload.decode() == '{"täsk":1}'
        await link.say(Accepted(**key(offer)))
        await link.acknowledged()
        assert centre.job(job.id).state == "running"
        await link.say(Released(**key(offer)), Ended(**key(offer), exit_code=0))
        await link.acknowledged()
        assert centre.job(job.id).state == "succeeded"
        await link.say(Goodbye(reason="done"))
        assert await link.closed() == (1000, "goodbye")
    await wait_until(lambda: centre.store.workers.get(site.id), lambda worker: worker.state is WorkerState.OFFLINE)


async def test_jobs_come_by_priority_and_no_more_than_fit(centre):
    queue = centre.queue_name()
    low, high, middle = (centre.queue(queue, priority_weight=weight) for weight in (1, 9, 5))
    site = await centre.site(queue)
    async with site.link(centre.gateway, concurrency=2) as link:
        first, second = await link.get(Offer), await link.get(Offer)
        assert [first.job_id, second.job_id] == [str(high.id), str(middle.id)]
        await link.say(Accepted(**key(first)), Accepted(**key(second)))
        await link.acknowledged()
        assert centre.job(low.id).state == "queued"
        await link.say(Released(**key(second)))
        assert (await link.get(Offer)).job_id == str(low.id)


async def test_a_worker_that_is_not_ready_is_offered_nothing(centre):
    queue = centre.queue_name()
    job = centre.queue(queue)
    site = await centre.site(queue)
    async with site.link(centre.gateway, state=WorkerState.STARTING) as link:
        await link.say(Status(state=WorkerState.STARTING, alive=()))
        other = await centre.site(queue)
        async with other.link(centre.gateway, concurrency=1) as ready:
            offer = await ready.get(Offer)
            assert offer.job_id == str(job.id)
            await ready.say(Accepted(**key(offer)))
            await ready.acknowledged()
        second = centre.queue(queue)
        await link.say(Status(state=WorkerState.IDLE, alive=()))
        assert (await link.get(Offer)).job_id == str(second.id)


async def test_a_refused_job_goes_to_another_at_once(centre):
    queue = centre.queue_name()
    one, other = await centre.site(queue), await centre.site(queue)
    async with one.link(centre.gateway, concurrency=9) as link, other.link(centre.gateway, concurrency=1) as second:
        # The one with the most free slots is asked first.
        job = centre.queue(queue)
        await link.say(Refused(**key(await link.get(Offer)), reason="no disk"))
        offer = await second.get(Offer, patience=5)
        assert offer.job_id == str(job.id)
        assert offer.assignment > 1


async def test_an_unanswered_job_goes_to_another_and_the_late_answer_is_void(centre):
    queue = centre.queue_name()
    one, other = await centre.site(queue), await centre.site(queue)
    async with one.link(centre.gateway, concurrency=1) as link:
        job = centre.queue(queue)
        late = await link.get(Offer)
        async with other.link(centre.gateway) as second:
            centre.let_lease_expire(job.id)
            offer = await second.get(Offer)
            assert (offer.job_id, offer.assignment) == (str(job.id), 2)
            await second.say(Accepted(**key(offer)))
            await second.acknowledged()
            await link.say(Accepted(**key(late)))
            void = await link.get(Void)
            assert (void.job_id, void.assignment) == (str(job.id), 1)
            held = centre.job(job.id)
            assert (held.state, held.assignment, held.worker_id) == ("running", 2, other.id)


async def test_a_conversation_goes_on_after_a_cut(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    session = site_session(uuid4().hex)
    async with site.link(centre.gateway, session) as link:
        assert not link.welcome.resumed
        jobs = [centre.queue(queue) for _ in range(2)]
        accepted = await link.get(Offer)
        await link.say(Accepted(**key(accepted)))
        await link.acknowledged()
        # The next words are written and never arrive.
        session.send(Released(**key(accepted)))
        session.send(Ended(**key(accepted), exit_code=0))
        link.connection.transport.abort()
    held = HeldJob(**key(accepted), phase="ended")
    async with site.link(centre.gateway, session, jobs=(held,)) as link:
        assert link.welcome.resumed
        await link.acknowledged()
        assert centre.job(accepted.job_id).state == "succeeded"
        # The other offer had been received, or comes again; either way it is the first one of that job.
        other = next(job for job in jobs if str(job.id) != accepted.job_id)
        row = centre.job(other.id)
        assert row.state in {"leased", "queued"}


async def test_an_offer_lost_with_its_connection_comes_again_as_the_same(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    session = site_session(uuid4().hex)
    async with site.link(centre.gateway, session) as link:
        job = centre.queue(queue)
        # It got as far as here, and nobody has read it.
        while not isinstance(decode_centre_frame(bytes(await link.connection.recv())).body, Signed):
            pass
        link.connection.transport.abort()
    async with site.link(centre.gateway, session) as link:
        assert link.welcome.resumed
        offer = await link.get(Offer)
        assert (offer.job_id, offer.assignment) == (str(job.id), 1)


async def test_a_forgotten_conversation_begins_anew_and_nothing_is_lost(centre, other_gateway):
    queue = centre.queue_name()
    site = await centre.site(queue)
    session = site_session(uuid4().hex)
    async with site.link(centre.gateway, session) as link:
        job = centre.queue(queue)
        offer = await link.get(Offer)
        await link.say(Accepted(**key(offer)))
        await link.acknowledged()
        session.send(Ended(**key(offer), exit_code=3))
        link.connection.transport.abort()
    async with site.link(other_gateway, session, jobs=(HeldJob(**key(offer), phase="ended"),)) as link:
        assert not link.welcome.resumed
        await link.acknowledged()
        assert (centre.job(job.id).state, centre.job(job.id).exit_code) == ("failed", 3)
    # The first gateway still remembers how far it had come with this site, but that was before the other one.
    async with site.link(centre.gateway, session) as link:
        assert not link.welcome.resumed


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_newer_link_ends_the_older(centre, other_gateway, where):
    queue = centre.queue_name()
    site = await centre.site(queue)
    gateway = centre.gateway if where == "here" else other_gateway
    async with site.link(centre.gateway) as old, site.link(gateway) as new:
        assert (await old.closed())[0] == 4409
        job = centre.queue(queue)
        assert (await new.get(Offer)).job_id == str(job.id)


async def test_what_the_two_sides_disagree_about_is_settled_when_linking(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway) as link:
        running, leased, kept = (centre.queue(queue, priority_weight=weight) for weight in (3, 2, 1))
        offers = {}
        for _ in range(3):
            offer = await link.get(Offer)
            offers[offer.job_id] = offer
        await link.say(Accepted(**key(offers[str(running.id)])), Accepted(**key(offers[str(kept.id)])))
        await link.acknowledged()
    foreign = HeldJob(job_id=str(uuid4()), assignment=1, phase="running")
    finished = HeldJob(job_id=str(uuid4()), assignment=1, phase="ended")
    here = HeldJob(**key(offers[str(kept.id)]), phase="running")
    async with site.link(centre.gateway, jobs=(here, foreign, finished), concurrency=1) as link:
        void = await link.get(Void)
        assert void.job_id == foreign.job_id
        assert centre.job(running.id).state == "lost"
        # A look at the queue that was under way may still have taken it for the link before, and gives it back.
        await centre.wait_for_state(leased.id, "queued")
        assert centre.job(kept.id).state == "running"
        # The kept job takes the only slot.
        await link.say(Ended(**key(offers[str(kept.id)]), exit_code=0))
        offer = await link.get(Offer)
        assert offer.job_id == str(leased.id)
        assert offer.assignment > 1
        # The one that has ended; Airflow may have had its say about the others, whose tasks it does not know.
        assert not [message for message in link.passed if isinstance(message, Void)]


async def test_a_worker_that_returns_after_the_grace_of_its_queue_is_told_to_stop(centre):
    queues = centre.queue_name(), centre.queue_name()
    site = await centre.site(*queues)
    graces = {queues[0]: timedelta(seconds=1)}
    async with site.link(centre.gateway) as link:
        given_up, awaited = (centre.queue(queue) for queue in queues)
        offers = [await link.get(Offer), await link.get(Offer)]
        await link.say(*(Accepted(**key(offer)) for offer in offers))
        await link.acknowledged()
    # It only looks who is away: whoever has a link to one that is so impatient must not be slow for a moment.
    with centre.gateway_for_links(heartbeat_interval=0.2, queue_disconnect_grace=graces):
        lost = await centre.wait_for_state(given_up.id, "lost", patience=60)
    assert "1s ([edge] queue_disconnect_grace)" in lost.reason
    here = tuple(HeldJob(**key(offer), phase="running") for offer in offers)
    async with site.link(centre.gateway, jobs=here) as link:
        assert (await link.get(Void)).job_id == str(given_up.id)
        assert centre.job(awaited.id).state == "running"
        assert centre.job(given_up.id).state == "lost"


async def test_a_task_that_is_not_wanted_any_more_is_stopped_once(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    task_id = centre.task_instance(queue)
    async with site.link(centre.gateway) as link:
        centre.queue(queue, workload_id=task_id)
        offer = await link.get(Offer)
        await link.say(Accepted(**key(offer)))
        await link.acknowledged()
        centre.set_task_state(task_id, "failed")
        began = time.monotonic()
        stop = await link.get(Stop)
        assert time.monotonic() - began < 5
        assert (stop.job_id, stop.assignment) == (offer.job_id, 1)
        assert "set to failed" in stop.reason
        with pytest.raises(TimeoutError):
            await link.get(Stop, patience=2.5)


async def test_a_worker_that_says_nothing_is_given_up(centre):
    site = await centre.site(centre.queue_name())
    with centre.gateway_for_links(heartbeat_interval=0.3) as gateway:
        async with site.link(gateway.url) as link:
            assert (await link.closed())[0] == 4408
        await wait_until(lambda: centre.store.workers.get(site.id), lambda worker: worker.state is WorkerState.UNKNOWN)


async def test_a_worker_that_does_not_read_is_given_up(centre, monkeypatch):
    monkeypatch.setattr("airflow_edge.gateway.links.link.MOST_UNACKNOWLEDGED", 20)
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway, concurrency=100) as link:
        for _ in range(30):
            centre.queue(queue)
        assert (await link.closed())[0] == 4400


async def test_a_link_is_alive_while_there_are_heartbeats(centre):
    site = await centre.site(centre.queue_name())
    with centre.gateway_for_links(heartbeat_interval=0.5) as gateway:
        async with site.link(gateway.url) as link:
            seen = []
            for load in range(8):
                await link.say(Status(state=WorkerState.IDLE, alive=(), system={"load": load, "nan": float("nan")}))
                await asyncio.sleep(0.3)
                seen.append(centre.store.workers.get(site.id).last_seen_at)
            assert seen[0] < seen[-1]
            system = await wait_until(
                lambda: centre.store.workers.get(site.id).system, lambda system: system.get("load") == 7
            )
            assert "nan" not in system


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ({"oldest_protocol": 99, "newest_protocol": 99}, "protocol_version"),
        ({"oldest_protocol": 0, "newest_protocol": 0}, "protocol_version"),
        ({"queues": ("another",)}, "no_queues"),
        ({"queues": ()}, "no_queues"),
    ],
)
async def test_a_hello_that_cannot_be_served_is_rejected_with_the_reason(centre, hello, code):
    site = await centre.site(centre.queue_name())
    async with site.connection(centre.gateway) as connection:
        link = SiteLink(connection, site_session("s"))
        await link.say(site.hello(link.session, **hello))
        rejected = await link.get(Rejected)
        assert rejected.code == code
        assert (await link.closed())[0] == 4400


@pytest.mark.parametrize("words", ["text", b"", b"junk", b"\x93\x00\x00\xc0"], ids=repr)
async def test_what_is_no_frame_ends_the_link(centre, words):
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        await link.connection.send(words)
        assert (await link.closed())[0] == 4400
    async with site.connection(centre.gateway) as connection:
        await connection.send(words)
        link = SiteLink(connection, site_session("s"))
        assert (await link.closed())[0] == 4400


async def test_a_message_in_the_wrong_place_ends_the_link(centre):
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        await link.say(site.hello(link.session))
        assert (await link.closed())[0] == 4400
    async with site.connection(centre.gateway) as connection:
        link = SiteLink(connection, site_session("s"))
        await link.say(Ping())
        assert (await link.closed())[0] == 4400


async def test_links_go_on_when_the_gateway_restarts(centre, transport):
    queue = centre.queue_name()
    site = await centre.site(queue)
    session = site_session(uuid4().hex)
    with centre.gateway_for_links() as gateway:
        async with site.link(gateway.url, session) as link:
            job = centre.queue(queue)
            offer = await link.get(Offer)
            await link.say(Accepted(**key(offer)))
            await link.acknowledged()
            stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
            # A WebSocket is told at once. A request that waits is answered, and the next one finds nobody.
            assert (await link.closed())[0] == (1012 if transport == "WebSocket" else 1006)
            await stopping
    with centre.gateway_for_links() as gateway:
        async with site.link(gateway.url, session, jobs=(HeldJob(**key(offer), phase="running"),)) as link:
            await link.say(Ended(**key(offer), exit_code=0))
            await link.acknowledged()
            assert centre.job(job.id).state == "succeeded"


async def test_two_gateways_hand_each_job_out_once(centre, other_gateway):
    queue = centre.queue_name()
    one, other = await centre.site(queue), await centre.site(queue)
    jobs = 60

    async def work(link, offered):
        while True:
            offer = await link.get(Offer)
            offered.append((offer.job_id, offer.assignment))
            await link.say(Accepted(**key(offer)), Released(**key(offer)), Ended(**key(offer), exit_code=0))

    async with one.link(centre.gateway) as first, other.link(other_gateway) as second:
        offered: tuple[list, list] = ([], [])
        workers = [asyncio.create_task(work(link, seen)) for link, seen in zip((first, second), offered, strict=True)]
        queued = [centre.queue(queue) for _ in range(jobs)]
        for job in queued:
            await centre.wait_for_state(job.id, "succeeded", patience=60)
        for worker in workers:
            worker.cancel()
    assert sorted(offered[0] + offered[1]) == sorted((str(job.id), 1) for job in queued)
    assert all(offered), "one of the gateways handed nothing out"


@pytest.mark.parametrize("transport", ["WebSocket"], indirect=True)
async def test_a_plain_request_to_the_link_is_told_what_is_missing(centre):
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(2):
            answer = await client.get(f"{centre.gateway}/v1/link")
            assert (answer.status_code, answer.json()["status"]) == (426, 426)


@pytest.mark.parametrize("transport", ["WebSocket"], indirect=True)
async def test_a_refusal_comes_before_the_upgrade(centre):
    site = await centre.site(centre.queue_name())
    with pytest.raises(InvalidStatus) as caught:
        async with site.connection(centre.gateway, aud="somebody else"):
            pass
    response = caught.value.response
    assert (response.status_code, response.headers["content-type"]) == (401, "application/problem+json")
    assert b'"code":"bad_token"' in response.body
