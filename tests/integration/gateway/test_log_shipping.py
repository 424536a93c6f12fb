"""A real agent ships its jobs' logs to a real gateway, whatever happens to either, to the link or to the files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.net.identity import Identity
from airflow_edge.protocol.local import LOG_FILE
from harness.faults import FaultProxy
from tests.integration.agent.conftest import DAGS, Agent
from tests.integration.agent.runtime import Runtime
from tests.integration.gateway.test_logs import PATH
from tests.integration.gateway.test_reading import Page
from tests.integration.gateway.world import Centre, wait_until
from tests.stored_logs import read_log

pytestmark = pytest.mark.one_database

JOBS = 6
LINES = 2_000
PATIENCE = 120.0


class Shop:
    """A site with a real agent and a runtime that does what the test says, behind a network that misbehaves."""

    def __init__(self, centre: Centre, folder: Path) -> None:
        self.centre = centre
        self.queue = centre.queue_name()
        self.site = centre.trusted_site(self.queue)
        self.network = FaultProxy([centre.gateway])
        config = Config(state_dir=folder / "state", concurrency=JOBS)
        self.runtime = Runtime(config.runtime_socket)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AIRFLOW__EDGE__STATE_DIR": str(config.state_dir),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__EDGE__WORKER_CONCURRENCY": str(JOBS),
        }
        self.agent = Agent(config, environment)
        Identity(
            worker_id=self.site.worker_id,
            name=self.site.name,
            api_url=self.network.url,
            queues=(self.queue,),
            private_key=self.site.key.private_bytes_raw().hex(),
            centre_key=self.centre.centre_key(),
        ).save(config.identity_file)

    async def start_job(self) -> tuple[str, str]:
        """Have a job started; give its id and its Dag's."""
        task_id = self.centre.task_instance(self.queue, state="running", hostname=self.site.name)
        dag_id = self.centre.dag_of(task_id)
        job = self.centre.queue(self.queue, workload_id=task_id, log_path=PATH.format(dag=dag_id))
        await self.runtime.until(lambda: self.runtime.jobs.get((str(job.id), 1)), patience=PATIENCE)
        return str(job.id), dag_id

    def log_file(self, job_id: str) -> Path:
        return self.runtime.folders[job_id, 1] / LOG_FILE

    def stored(self, job_id: str) -> bytes:
        return read_log(self.centre.store, self.centre.job(job_id).log_path)

    async def complete(self, job_id: str) -> bytes:
        """Wait until the centre has the whole log; give it."""
        path = self.centre.job(job_id).log_path
        await wait_until(
            lambda: self.centre.store.logs.parts(path),
            lambda parts: bool(parts) and all(part.complete for part in parts),
            patience=PATIENCE,
        )
        return self.stored(job_id)


@pytest.fixture
async def shop(centre: Centre, tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(centre, tmp_path)
    with shop.network:
        await shop.runtime.start()
        await shop.agent.start()
        yield shop
        await shop.agent.kill()
        await shop.runtime.stop()
    print(shop.agent.log.read_text())


def line(**fields: Any) -> bytes:
    return json.dumps({"timestamp": "2026-01-01T00:00:00Z", "level": "info", **fields}).encode() + b"\n"


@asynccontextmanager
async def cuts(network: FaultProxy) -> AsyncIterator[None]:
    """Cut every connection again and again."""

    async def cut() -> None:
        for number in range(1_000):
            await asyncio.sleep(0.7)
            await asyncio.to_thread(network.cut if number % 2 else network.reset)

    cutting = asyncio.create_task(cut())
    yield
    cutting.cancel()
    await asyncio.gather(cutting, return_exceptions=True)


async def test_every_log_arrives_once_and_whole_though_links_break_and_the_agent_dies(shop: Shop) -> None:
    jobs = [await shop.start_job() for _ in range(JOBS)]
    written = dict.fromkeys((job_id for job_id, _ in jobs), b"")
    async with cuts(shop.network):
        for part in range(10):
            for job_id in written:
                lines = range(part * LINES // 10, (part + 1) * LINES // 10)
                data = b"".join(line(event=f"line {n} of {job_id}", noise=random.random()) for n in lines)
                written[job_id] += data
                shop.runtime.write_log(job_id, data)
            await asyncio.sleep(0.3)
            if part in {3, 7}:
                await shop.agent.kill()
                await shop.agent.start()
                await shop.runtime.until(lambda: shop.runtime.connected)
    for job_id, dag_id in jobs:
        shop.runtime.exit(job_id)
        stored = await shop.complete(job_id)
        assert hashlib.sha256(stored).digest() == hashlib.sha256(written[job_id]).digest()
        page = [event for event in await Page(shop.centre, dag_id).all() if event.startswith("line ")]
        assert page == [f"line {n} of {job_id}" for n in range(LINES)]


async def test_whatever_a_task_writes_arrives_as_it_is(shop: Shop) -> None:
    job_id, dag_id = await shop.start_job()
    half = "ä".encode()
    pieces = [
        line(event="to begin with"),
        random.Random(3).randbytes(100_000),
        b"\n" + bytes(1_000) + b"\n",
        half[:1],
        half[1:] + b"\n\xff\xfe\n",
        line(event="x" * 10_000_000),
        line(event="the last one"),
        b"no end",
    ]
    for piece in pieces:
        shop.runtime.write_log(job_id, piece)
        await asyncio.sleep(0.05)
    shop.runtime.exit(job_id)
    assert await shop.complete(job_id) == b"".join(pieces)
    page = await Page(shop.centre, dag_id).all()
    assert "the last one" in page
    assert "x" * 10_000_000 in page


async def test_a_task_that_damages_its_log_loses_nothing_else(shop: Shop) -> None:
    (truncated, dag_id), (deleted, _) = [await shop.start_job() for _ in range(2)]
    with shop.log_file(deleted).open("wb", buffering=0) as supervisor:
        for job_id in (truncated, deleted):
            with shop.log_file(job_id).open("ab") as log:
                log.write(line(event="before"))
            await wait_until(partial(shop.stored, job_id), lambda stored: stored == line(event="before"))
        shop.log_file(truncated).write_bytes(line(event="new"))
        shop.log_file(deleted).unlink()
        supervisor.seek(0, os.SEEK_END)
        supervisor.write(line(event="after"))
        for job_id in (truncated, deleted):
            shop.runtime.exit(job_id)
            stored = await shop.complete(job_id)
            before, said, after = [json.loads(text) for text in stored.splitlines() if text]
            assert before["event"] == "before"
            assert (said["level"], said["logger"]) == ("warning", "airflow_edge")
            assert after["event"] == {truncated: "new", deleted: "after"}[job_id]
    page = await Page(shop.centre, dag_id).all()
    assert [text for text in page if text in {"before", "new"}] == ["before", "new"]
    assert any("truncated" in text for text in page)
