"""What is special about a link by long polling; what it has in common with others is in test_link."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from airflow_edge.protocol import polling, urls
from airflow_edge.protocol.frames import MAX_SITE_FRAME_BYTES, SiteFrame, encode
from airflow_edge.protocol.messages import Accepted, Offer, Ping
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.tokens import body_digest
from airflow_edge.store.tables import PassedRequestRow
from harness.waiting import wait_for
from tests.integration.gateway.site import LongPolling, Site

pytestmark = pytest.mark.one_database


@pytest.fixture(autouse=True)
def _transport(monkeypatch):
    monkeypatch.setattr(Site, "transport", "long polling")


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_an_offer_does_not_wait_for_the_poll_to_end(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway) as link:
        await asyncio.sleep(0.5)
        began = time.monotonic()
        job = centre.queue(queue)
        offer = await link.get(Offer)
        # Nor does what the worker says.
        await link.say(Accepted(job_id=offer.job_id, assignment=offer.assignment))
        await centre.wait_for_state(job.id, "running")
        assert time.monotonic() - began < polling.WAIT / 2


async def test_a_poll_without_news_is_answered_in_time(centre):
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        link.connection.abort()
        began = time.monotonic()
        answer = await link.connection.post(b"")
        assert polling.decode_reply(answer.content).frames == ()
        assert polling.WAIT - 1 < time.monotonic() - began < polling.WAIT + 5


@pytest.mark.held("hundreds of polls by one key")
async def test_of_many_polls_of_one_link_one_waits(centre):
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        link.connection.abort()
        asked = [asyncio.create_task(link.connection.post(b"")) for _ in range(100)]
        async with asyncio.timeout(polling.WAIT - 1):
            while len([one for one in asked if not one.done()]) > 1:
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                asked = [one for one in asked if not one.done()]
        for one in asked:
            one.cancel()


async def test_a_worker_that_hangs_up_is_gone_at_once(centre):
    queue = centre.queue_name()
    site, other = await centre.site(queue), await centre.site(queue)
    async with site.link(centre.gateway, concurrency=100) as link:
        await asyncio.sleep(0.2)
        link.connection.abort()
        async with other.link(centre.gateway, concurrency=1) as second:
            await _ended(link.connection, patience=3.0)
            job = centre.queue(queue)
            assert (await second.get(Offer)).job_id == str(job.id)


async def _ended(connection: LongPolling, patience: float) -> None:
    body = polling.encode_frames([encode(SiteFrame(0, 0, Ping()))])
    async with asyncio.timeout(patience):
        while polling.decode_reply((await connection.post(body)).content).end is None:
            pass


def end(answer: httpx.Response) -> int | None:
    assert answer.status_code == 200, answer.text
    reply = polling.decode_reply(answer.content)
    return reply.end.code if reply.end else None


async def test_another_worker_has_no_such_link_wherever_it_asks(centre, other_gateway):
    site, thief = await centre.site(centre.queue_name()), await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        path = urls.poll_path(link.connection.link)
        async with httpx.AsyncClient(trust_env=False) as client:
            for gateway in (centre.gateway, other_gateway):
                stolen = await client.post(gateway + path, headers=thief.headers("POST", path))
                assert end(stolen) == CloseCode.UNREADY
        assert link.connection.close_code is None


async def test_a_link_of_nobody_is_looked_for_by_a_worker_as_where_nothing_is_passed_on(centre):
    site = await centre.site(centre.queue_name())
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        # An older gateway, as there may be one during an upgrade, has named it.
        unknown = urls.poll_path(uuid4().hex)
        answer = await client.post(centre.gateway + unknown, headers=site.headers("POST", unknown))
        assert code(answer) == (421, "link_elsewhere")


async def test_a_request_reaches_its_link_through_any_process(centre, other_gateway):
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway) as link:
        link.connection.move_to(other_gateway)
        job = centre.queue(queue)
        offer = await link.get(Offer)
        await link.say(Accepted(job_id=offer.job_id, assignment=offer.assignment))
        await centre.wait_for_state(job.id, "running")
        assert link.connection.passed_on
        assert link.connection.close_code is None


async def test_a_request_is_good_once_whichever_process_it_meets(centre, other_gateway):
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        path = urls.poll_path(link.connection.link)
        frames = polling.encode_frames([encode(SiteFrame(0, 0, Ping()))])
        once = site.headers("POST", path, body=body_digest(frames))
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            assert end(await client.post(centre.gateway + path, headers=once, content=frames)) is None
            again = await client.post(other_gateway + path, headers=once, content=frames)
            assert code(again) == (401, "replayed")


async def test_a_worker_that_hangs_up_on_another_process_is_gone_at_once(centre, other_gateway):
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        link.connection.move_to(other_gateway)
        await asyncio.to_thread(_wait_for_a_passed_request, centre, link.connection.link)
        link.connection.abort()
        await _ended(link.connection, patience=5.0)


def _wait_for_a_passed_request(centre, link: str) -> None:
    with centre.engine.connect() as connection:
        query = select(PassedRequestRow.id).where(PassedRequestRow.link == link, PassedRequestRow.passage == 1)
        wait_for(lambda: connection.execute(query).first(), "a request that waits", timeout=30)


async def test_the_link_of_a_process_that_is_gone_is_made_anew_at_once(centre):
    site = await centre.site(centre.queue_name())
    with centre.gateway_for_links() as gone:
        async with site.link(gone.url) as link:
            link.connection.abort()
            path = urls.poll_path(link.connection.link)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.post(centre.gateway + path, headers=site.headers("POST", path))
    assert end(answer) == CloseCode.UNREADY
    assert b"is gone" in answer.content


@pytest.mark.parametrize("path", [urls.POLL, urls.poll_path("0" * 32)])
async def test_only_a_worker_may_poll(centre, path):
    site = await centre.site(centre.queue_name())
    async with httpx.AsyncClient(trust_env=False) as client:
        assert code(await client.post(centre.gateway + path)) == (401, "bad_token")
        for_another_path = site.headers("POST", urls.ENROLL)
        assert code(await client.post(centre.gateway + path, headers=for_another_path)) == (401, "bad_token")
        assert code(await client.get(centre.gateway + path, headers=site.headers("GET", path))) == (405, "malformed")
        once = site.headers("POST", path)
        await client.post(centre.gateway + path, headers=once)
        assert code(await client.post(centre.gateway + path, headers=once)) == (401, "replayed")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"junk", 400),
        (polling.encode_frames([]), 400),
        (polling.encode_frames([b"\xc0"] * 2), 400),
        (b"\xdd\xff\xff\xff\xff", 400),
        (b"\x91" * 100_000, 400),
        (bytes(polling.MAX_BODY_BYTES + 1), 413),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_is_no_hello_makes_no_link(centre, body, status):
    site = await centre.site(centre.queue_name())
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = site.headers("POST", urls.POLL, body=body_digest(body))
        answer = await client.post(centre.gateway + urls.POLL, content=body, headers=headers)
        assert code(answer) == (status, "malformed")


async def test_a_frame_that_is_too_long_ends_the_link(centre):
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        longest = b"\xc6" + (MAX_SITE_FRAME_BYTES + 1).to_bytes(4, "big") + bytes(MAX_SITE_FRAME_BYTES + 1)
        answer = await link.connection.post(polling.encode_frames([longest]))
        assert answer.status_code == 200
        assert (await link.closed())[0] == 4400


async def test_a_revoked_worker_is_told_so(centre):
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway) as link:
        centre.store.workers.revoke(site.name, now=datetime.now(UTC))
        # By the answer to the request that waits or, if it went out a moment earlier, by the refusal of the next one.
        assert "revoked" in (await link.closed(patience=5))[1]
