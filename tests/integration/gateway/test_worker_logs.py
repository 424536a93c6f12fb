"""A worker's own log from a link into the database, and what a hostile one cannot do with it."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from airflow_edge.gateway.links.driver import BURST, BYTES_PER_SECOND
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.logs.worker_log import Record, pack
from airflow_edge.protocol.messages import Accepted, Offer, WantWorkerLog, WorkerLog
from airflow_edge.rules.worker import LogRequest
from airflow_edge.store.tables import WorkerLogRow
from tests.integration.gateway.world import config, wait_until


def batch(*texts: str, first: int = 0, **fields) -> WorkerLog:
    plain = pack([Record(1_700_000_000.0, 30, "agent", text) for text in texts])
    return WorkerLog(**{"run": "run", "first": first, "size": len(plain), "data": zstd.compress(plain), **fields})


def request(lines: int = 7, seconds: float = 30) -> LogRequest:
    return LogRequest(id=uuid4().hex, until=datetime.now(UTC) + timedelta(seconds=seconds), level=20, lines=lines)


@pytest.mark.parametrize("where", ["gateway", "other_gateway"])
async def test_a_request_reaches_the_worker_wherever_it_is_linked(centre, other_gateway, where):
    site = await centre.site(centre.queue_name())
    gateway = centre.gateway if where == "gateway" else other_gateway
    async with site.link(gateway) as link:
        wanted = request()
        centre.store.worker_logs.want(site.id, wanted, now=datetime.now(UTC))
        heard = await link.get(WantWorkerLog)
        assert (heard.request, heard.level, heard.lines) == (wanted.id, 20, 7)
        assert 0 < heard.seconds < 31, "the clock is the database's, which may count in milliseconds only"
        await link.say(batch("größe", answers=wanted.id))
        (found,) = await wait_until(lambda: centre.store.worker_logs.read(site.id), bool)
    assert (found.answers, [record.text for record in found.records]) == (wanted.id, ["größe"])


async def test_a_worker_that_links_while_somebody_waits_is_asked(centre):
    site = await centre.site(centre.queue_name())
    wanted = request()
    centre.store.worker_logs.want(site.id, wanted, now=datetime.now(UTC))
    async with site.link(centre.gateway) as link:
        assert (await link.get(WantWorkerLog)).request == wanted.id


@pytest.mark.parametrize("shape", ["large", "tiny", "unsound"])
async def test_a_flood_stays_within_bounds_and_delays_nothing(centre, shape):
    queue = centre.queue_name()
    site = await centre.site(queue)
    clock = asyncio.get_running_loop().time
    began = clock()
    async with site.link(centre.gateway) as link:
        texts = [secrets.token_hex(8_000) for _ in range(6)] if shape == "large" else ["x"]
        flood = batch(*texts) if shape != "unsound" else batch("x", data=zstd.compress(bytes(64 * 1024 * 1024)))
        for _ in range(400):
            link.send_now(flood)
        job = centre.queue(queue)
        flooding = asyncio.create_task(link.flush())
        offer = await link.get(Offer)
        await flooding
        await link.say(Accepted(job_id=offer.job_id, assignment=1))
        await link.acknowledged()
        await centre.wait_for_state(job.id, "running")

        def size() -> int:
            with centre.sessions() as session:
                rows = select(func.sum(WorkerLogRow.size)).where(WorkerLogRow.worker_id == site.id)
                return session.scalar(rows) or 0

        stored = size()
        assert stored <= min(BURST + (clock() - began) * BYTES_PER_SECOND, config().worker_log_quota)
        if shape == "unsound":
            assert stored == 0
        # The link stands all the same.
        second = centre.queue(queue)
        assert (await link.get(Offer)).job_id == str(second.id)
