"""The worker's own log with real files, and a link that takes what it is given."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from airflow_edge.agent.own_log import shipper as worker_log
from airflow_edge.agent.own_log.file import RotatingFile
from airflow_edge.agent.own_log.shipper import WorkerLogShipper
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.logs.worker_log import LONGEST_RECORD, Record, unpack
from airflow_edge.protocol.messages import MAX_WORKER_LOG_BYTES, WantWorkerLog, WorkerLog


def want(name: str = "r", seconds: float = 600, level: int = 20, lines: int = 100) -> WantWorkerLog:
    return WantWorkerLog(request=name, seconds=seconds, level=level, lines=lines)


def next_millisecond() -> None:
    """Records of two files are in the order of their times."""
    now = int(time.time() * 1000)
    while int(time.time() * 1000) == now:
        pass


class Site:
    """An agent's log, a runtime's, and the shipper between them and a link."""

    def __init__(self, folder: Path, always: int | None = None) -> None:
        self.agent = self.logger(folder / "agent.log")
        self.runtime = self.logger(folder / "runtime.log")
        self.time = 100.0
        self.linked = True
        self.batches: list[WorkerLog] = []
        self.shipper = WorkerLogShipper(
            {"agent": folder / "agent.log", "runtime": folder / "runtime.log"},
            always,
            linked=lambda: self.linked,
            more=lambda: None,
            now=lambda: self.time,
        )

    @staticmethod
    def logger(path: Path) -> logging.Logger:
        made = logging.getLogger(f"test.{path}")
        made.propagate = False
        made.setLevel(logging.DEBUG)
        made.addHandler(RotatingFile(path, max_size=10_000_000, backups=2))
        return made

    @property
    def records(self) -> list[Record]:
        return [record for batch in self.batches for record in unpack(zstd.decompress(batch.data))]

    @property
    def texts(self) -> list[str]:
        return [record.text for record in self.records]

    async def takes(self, *texts: str) -> None:
        """Wait until exactly these have been taken since the last time."""
        async with asyncio.timeout(20):
            while len(self.texts) < len(texts):
                self.take()
                await asyncio.sleep(0.005)
        await self.rest()
        assert self.texts == list(texts)
        self.batches.clear()

    async def rest(self) -> None:
        """Let it look at the files a few times."""
        for _ in range(10):
            await asyncio.sleep(worker_log.POLL_INTERVAL)
            self.take()

    def take(self) -> None:
        self.time += 1
        if batch := self.shipper.next_batch():
            assert batch.size <= MAX_WORKER_LOG_BYTES
            self.batches.append(batch)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_log, "POLL_INTERVAL", 0.005)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    running = asyncio.create_task(site.shipper.run())
    yield site
    running.cancel()


async def test_nothing_is_sent_unless_it_is_wanted(site: Site) -> None:
    site.shipper.welcomed()
    site.agent.error("x")
    await site.rest()
    assert site.batches == []


async def test_a_request_begins_with_the_past_and_goes_on(site: Site) -> None:
    site.shipper.welcomed()
    site.agent.info("one")
    next_millisecond()
    site.runtime.info("two")
    next_millisecond()
    site.agent.debug("too little")
    site.agent.info("three")
    site.shipper.want(want(lines=2))
    await site.takes("two", "three")
    site.runtime.warning("four")
    await site.takes("four")
    # The same request again only prolongs it; another one wants the past once more.
    site.shipper.want(want(lines=2))
    site.agent.info("five")
    await site.takes("five")
    site.shipper.want(want("other", lines=1, level=30))
    await site.takes("four")


async def test_the_end_of_the_past_is_marked_even_if_there_is_none(site: Site) -> None:
    site.shipper.welcomed()
    site.shipper.want(want("quiet"))
    await site.rest()
    assert [batch.answers for batch in site.batches] == ["quiet"]
    assert site.texts == []


async def test_a_request_ends(site: Site) -> None:
    site.shipper.welcomed()
    site.agent.info("past")
    site.shipper.want(want(seconds=500))
    await site.takes("past")
    site.time += 500
    await site.rest()
    site.agent.info("too late")
    await site.rest()
    assert site.batches == []


async def test_what_is_always_sent_waits_for_the_link_and_the_rest_for_a_request(tmp_path: Path) -> None:
    site = Site(tmp_path, logging.WARNING)
    running = asyncio.create_task(site.shipper.run())
    site.agent.warning("early")
    await site.rest()
    assert site.batches == []
    site.shipper.welcomed()
    await site.takes("early")
    site.linked = False
    site.agent.info("not this")
    site.agent.error("while away")
    await site.rest()
    assert site.batches == []
    site.linked = True
    await site.takes("while away")
    running.cancel()


async def test_what_is_too_much_is_lost_and_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_log, "MOST_WAITING", 50)
    site.shipper.welcomed()
    site.shipper.want(want(lines=10))
    await site.rest()
    site.batches.clear()
    for number in range(1000):
        site.agent.info("number %d", number)
    for _ in range(20):
        await asyncio.sleep(worker_log.POLL_INTERVAL)
    await site.rest()
    assert site.texts == [f"number {number}" for number in range(950, 1000)]
    assert site.batches[0].first == 950


async def test_batches_stay_below_the_limit_whatever_is_said(site: Site) -> None:
    site.shipper.welcomed()
    for _ in range(12):
        site.agent.info("\N{GRINNING FACE}" * LONGEST_RECORD)
    for number in range(1500):
        site.runtime.info("%d", number)
    site.shipper.want(want(lines=5000))
    await site.rest()
    async with asyncio.timeout(20):
        while not (site.batches and site.batches[-1].answers):
            site.take()
            await asyncio.sleep(0.005)
    assert len(site.texts) == 1512
    position = 0
    for batch in site.batches:
        assert batch.first == position
        position += len(unpack(zstd.decompress(batch.data)))
