"""How soon an order reaches a linked worker, and how soon its outcome can be read.

    python -m tools.measure_orders [--sites 5] [--orders 50]

Agents are processes of their own, linked by WebSockets to a gateway on this machine. Orders are given one after the
other, through the service behind the commands and the REST API, at random moments, each to the next worker. A worker's
log says when an order arrived there, to the millisecond; the outcome counts from when the service first shows it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.database import Database, PostgresServer, SqliteFiles
from tests.integration.airflow_here import airflow_here

if TYPE_CHECKING:
    from tests.integration.fleet.fleet import FleetWorker
    from tests.integration.gateway.world import Centre

LONGEST_PAUSE = 1.0
"""Seconds between two orders, at most: gateways look for them at fixed intervals."""
LOOK_INTERVAL = 0.005
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What one order took, in seconds from the call of the service."""

    arrival: float
    outcome: float


@asynccontextmanager
async def site(centre: Centre, folder: Path) -> AsyncIterator[FleetWorker]:
    """Give a worker that is linked and idle."""
    from tests.integration.fleet.fleet import FleetWorker

    worker = FleetWorker(centre, folder, TZ="UTC")
    await worker.runtime.start()
    try:
        await worker.start()
        await worker.becomes("idle", patience=PATIENCE)
        yield worker
    finally:
        await worker.agent.kill()
        await worker.runtime.stop()


async def give(worker: FleetWorker, slots: int) -> Taken:
    """Ask a worker to have so many slots, and wait for what came of it."""
    began = time.time()
    asked = worker.wish("concurrency", number=slots)
    assert asked.order_id is not None, asked
    while (outcome := await asyncio.to_thread(worker.fleet.outcome, asked.order_id)) and outcome.result == "waiting":
        if time.time() > began + PATIENCE:
            raise SystemExit(worker.agent.log.read_text())
        await asyncio.sleep(LOOK_INTERVAL)
    ended = time.time()
    assert outcome is not None, "the order is gone"
    assert outcome.result == "done", outcome
    (line,) = [line for line in worker.agent.log.read_text().splitlines() if line.endswith(f": concurrency {slots}")]
    date, clock, _ = line.split(" ", 2)
    arrived = datetime.fromisoformat(f"{date} {clock}").replace(tzinfo=UTC)
    return Taken(arrived.timestamp() - began, ended - began)


async def measure(centre: Centre, folder: Path, sites: int, orders: int) -> list[Taken]:
    """Give orders to some sites in turn."""
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(site(centre, folder / f"site-{number}")) for number in range(sites)]
        taken = []
        for number in range(orders):
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))
            taken.append(await give(workers[number % sites], 1 + number))
        return taken


def measure_on(database: Database, folder: Path, sites: int, orders: int) -> None:
    """Measure with a gateway before this database, and print it."""
    environment = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    with airflow_here(environment) as engine:
        # Not before Airflow is at home there.
        from tests.integration.gateway.world import Centre

        centre = Centre(engine, "")
        with centre.gateway_for_links() as gateway:
            centre.gateway = gateway.url
            taken = asyncio.run(measure(centre, folder, sites, orders))
        print(f"{orders} orders to {sites} linked workers on {engine.dialect.name}:")
        _show("until it arrives at the worker", [one.arrival for one in taken])
        _show("until its outcome can be read", [one.outcome for one in taken])


def _show(what: str, seconds: Sequence[float]) -> None:
    print(f"  {what:32} median {statistics.median(seconds):5.2f} s, longest {max(seconds):5.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sites", type=int, default=5)
    parser.add_argument("--orders", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orders-") as name:
        folder = Path(name)
        measure_on(SqliteFiles(folder).create("orders"), folder / "sqlite", arguments.sites, arguments.orders)
        with PostgresServer().running() as server:
            measure_on(server.create("orders"), folder / "postgresql", arguments.sites, arguments.orders)


if __name__ == "__main__":
    main()
