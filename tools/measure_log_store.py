"""How much memory an API server takes for one large log, how fast it takes it, and how soon it is read from there.

    python -m tools.measure_log_store [--size MB] [--postgres] [--log-store URL]

A real API server of Airflow with the gateway, on a database of its own; the site is this process, which sends pieces as
an agent does, a few on the way at once. Memory is that of the server and its children, watched all the time until the
log is complete and compacted.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.logs import logdata
from airflow_edge.protocol.messages import MAX_LOG_CHUNK_BYTES, Accepted, Ended, LogAck, LogEnd, Offer
from airflow_edge.store import queueing
from airflow_edge.store.store import Store
from airflow_edge.store.tables import JobRow, LogRow
from harness import environments
from harness.airflow import Airflow
from harness.database import PostgresServer, SqliteFiles
from tests.integration.gateway.site import Site

IN_FLIGHT = 4
MB = 1_000_000
PATIENCE = 600.0
PATH = "dag_id=measure/run_id=r/task_id=t/attempt=1.log"


class Memory:
    """The resident memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.most = 0

    def look(self) -> int:
        process = psutil.Process(self._pid)
        now = sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])
        self.most = max(self.most, now)
        return now

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.1)


def text(size: int) -> Iterator[bytes]:
    """Lines as Airflow writes them, with words that differ."""
    source = random.Random(1)
    made = 0
    while made < size:
        lines = [
            f'{{"timestamp":"2026-01-01T00:00:00.{source.randrange(10**6):06}Z","level":"info","event":'
            f'"row {source.randrange(10**9)} of table {source.randrange(1000)} loaded","logger":"task.stdout"}}\n'
            for _ in range(1500)
        ]
        piece = "".join(lines).encode()[:MAX_LOG_CHUNK_BYTES]
        made += len(piece)
        yield piece


async def send(airflow: Airflow, store: Store, sessions: sessionmaker[Session], size: int, memory: Memory) -> None:
    """Send the log and wait until it is complete and compacted; print what that took."""
    site = Site()
    gateway = f"{airflow.url}/edge_worker"
    (await site.enroll(gateway, await asyncio.to_thread(airflow.enroll_token))).raise_for_status()
    async with site.link(gateway) as link:
        with sessions() as session:
            queueing.add_job(session, _job(), now=datetime.now(UTC))
            session.commit()
        offer = await link.get(Offer, PATIENCE)
        await link.say(Accepted(job_id=offer.job_id, assignment=offer.assignment))
        await link.say(Ended(job_id=offer.job_id, assignment=offer.assignment, exit_code=0))
        idle = memory.look()
        memory.most = idle
        began = time.monotonic()
        digest, offset, waiting = hashlib.sha256(), 0, 0
        for piece in text(size):
            digest.update(piece)
            await link.say(logdata.pack(offer.job_id, offer.assignment, offset, piece, logdata.NO_DICTIONARY))
            offset += len(piece)
            waiting += 1
            if waiting > IN_FLIGHT:
                await link.get(LogAck, PATIENCE)
                waiting -= 1
        await link.say(LogEnd(job_id=offer.job_id, assignment=offer.assignment, size=offset, sha256=digest.hexdigest()))
        while not (await link.get(LogAck, PATIENCE)).complete:
            pass
        took = time.monotonic() - began
        deadline = time.monotonic() + PATIENCE
        while await asyncio.to_thread(_is_due, sessions):
            if time.monotonic() > deadline:
                raise SystemExit("the log was not compacted")
            await asyncio.sleep(0.2)
    print(f"log             {offset / MB:8.0f} MB")
    print(f"complete after  {took:8.1f} s ({offset / MB / took:.1f} MB/s)")
    print(f"server at rest  {idle / MB:8.0f} MB resident")
    print(f"grown by        {(memory.most - idle) / MB:8.1f} MB at most")
    began = time.monotonic()
    first = next(store.logs.read(store.logs.parts(PATH)[0].id))
    print(f"first {len(first) // 1024:3d} KiB   {(time.monotonic() - began) * 1000:8.0f} ms, from the store")


def _job() -> JobRow:
    return JobRow(
        id=uuid4(),
        kind="task",
        workload_id=uuid4(),
        dag_id="measure",
        task_id="t",
        run_id="r",
        map_index=-1,
        try_number=1,
        queue="default",
        team_name=None,
        priority_weight=1,
        slots=1,
        owner=None,
        log_path=PATH,
        workload='{"token":""}',
    )


def _is_due(sessions: sessionmaker[Session]) -> bool:
    with sessions() as session:
        return session.scalars(select(LogRow.tidy_at)).one() is not None


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=200, help="of the log, in MB")
    parser.add_argument("--postgres", action="store_true", help="instead of SQLite")
    parser.add_argument("--log-store", default="", help="[edge] log_store")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="measure-")))
        databases = stack.enter_context(PostgresServer().running()) if arguments.postgres else SqliteFiles(folder)
        database = databases.create("measure")
        config = {"edge": {"api_enabled": "True", "log_store": arguments.log_store}}
        executor = "airflow_edge.executor.EdgeExecutor"
        airflow = stack.enter_context(
            Airflow(
                folder, database, venv=environments.centre(), dags=folder / "dags", executor=executor, config=config
            )
        )
        (folder / "dags").mkdir()
        airflow.migrate()
        server = airflow.start_api_server()
        sessions = sessionmaker(create_engine(database.url), expire_on_commit=False)
        memory = Memory(server.pid)
        watching = asyncio.create_task(memory.watch())
        try:
            await send(airflow, Store(sessions), sessions, arguments.size * MB, memory)
        finally:
            watching.cancel()


if __name__ == "__main__":
    asyncio.run(main())
