"""`python -m benchmarks.reconnect`: how soon all workers are linked again after their API server was killed.

One API server process on PostgreSQL, and as many links of the agent's own kind as asked for, all in one process.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from nacl.signing import SigningKey
from sqlalchemy.orm import sessionmaker

from airflow_edge.protocol.urls import HEALTH, PREFIX
from airflow_edge.store.store import Store
from benchmarks import report
from benchmarks.peers import Ground
from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow
from harness.database import Database, PostgresServer
from harness.fleet import WorkerKey, new_private_key, save
from harness.processes import Process
from harness.waiting import wait_for

_LINK_TIMEOUT = 180.0
_ANSWER_INTERVAL = 0.05


class Fleet:
    """The process with the workers, and what it has noted."""

    def __init__(self, process: Process, events: Path, size: int) -> None:
        self.process = process
        self.size = size
        self._events = events

    def events(self, since: float = 0.0) -> list[dict[str, Any]]:
        """What has happened since a moment of the monotonic clock."""
        if not self._events.exists():
            return []
        lines = filter(None, self._events.read_text().split("\n"))
        return [event for event in map(json.loads, lines) if event["at"] >= since]

    def wait_until_linked(self, since: float) -> list[float]:
        """Wait until each worker has linked since then; give the moments, in order."""

        def linked() -> list[float] | None:
            self.process.check()
            firsts: dict[str, float] = {}
            for event in self.events(since):
                if event["what"] == "linked":
                    firsts.setdefault(event["about"], event["at"])
            return sorted(firsts.values()) if len(firsts) == self.size else None

        return wait_for(linked, f"{self.size} links", timeout=_LINK_TIMEOUT, interval=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconnect", description=__doc__)
    parser.add_argument("--workers", type=int, default=1000, help="links (%(default)s)")
    parser.add_argument("--outage", type=float, default=30.0, help="seconds without an API server (%(default)s)")
    options = parser.parse_args()
    # So that everything is stopped and removed then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    seconds = measure(options.workers, options.outage)
    command = f"python -m benchmarks.reconnect {shlex.join(sys.argv[1:])}".strip()
    record = report.save("reconnect", command=command, settings=vars(options), peers=["edge"], seconds=seconds)
    print(json.dumps(seconds, indent=2))
    print(f"written to {record.relative_to(report.RESULTS.parent.parent)}")


def measure(workers: int, outage: float) -> dict[str, object]:
    """Link them all, kill the API server, start it again, and watch."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        ground = Ground(folder, stack.enter_context(PostgresServer(durable=True).running()))
        airflow = stack.enter_context(
            ground.airflow("edge", venv=environments.centre(), executor=EDGE_EXECUTOR, config=EDGE_CONFIG)
        )
        print("starting", flush=True)
        server = airflow.start_api_server()
        fleet = _start_fleet(folder, airflow, workers, stack)
        began = time.monotonic()
        first = fleet.wait_until_linked(0.0)
        print(f"{workers} linked at first, after {first[-1] - began:.1f} s", flush=True)
        server.kill()
        killed = time.monotonic()
        time.sleep(outage)
        server.restart()
        answered = _answers(f"{airflow.url}/api/v2/version", server)
        ready = _answers(f"{airflow.url}{PREFIX}{HEALTH}", server)
        linked = fleet.wait_until_linked(killed)
        return {
            "away": answered - killed,
            "answers_to_gateway_ready": ready - answered,
            "answers_to_first_link": linked[0] - answered,
            "answers_to_half_linked": linked[len(linked) // 2] - answered,
            "answers_to_all_linked": linked[-1] - answered,
            "most_links_in_a_second": most_within(linked, 1.0),
            "hellos_for_each_link": _count(fleet, answered, "hello") / workers,
            "links_lost_again": _count(fleet, answered, "linked") - workers,
            "gave_up": _count(fleet, killed, "gave up"),
            "troubles_after_the_return": _troubles(fleet, answered),
        }


def most_within(moments: Sequence[float], span: float) -> int:
    """Give the most of these moments, which are in order, that fall into one span of time."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - span:
            first += 1
        most = max(most, last - first + 1)
    return most


def _start_fleet(folder: Path, airflow: Airflow, size: int, stack: ExitStack) -> Fleet:
    keys = enroll(airflow.database, size)
    save(keys, folder / "workers.json")
    events = folder / "events.jsonl"
    process = Process(
        "fleet",
        [
            environments.centre() / "bin" / "python",
            "-m",
            "harness.fleet",
            f"{airflow.url}{PREFIX}",
            folder / "workers.json",
            events,
        ],
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        cwd=Path(__file__).parent.parent,
        log=folder / "fleet.log",
    )
    stack.callback(process.stop)
    return Fleet(process, events, size)


def enroll(database: Database, size: int, queues: Sequence[str] = ("default",)) -> list[WorkerKey]:
    """Enrol so many workers, each for the next of these queues, without the gateway's doing."""
    engine = database.engine()
    store = Store(sessionmaker(engine, autoflush=False, expire_on_commit=False))
    keys = []
    for number in range(size):
        name, private_key = f"worker-{number:04}", new_private_key()
        public_key = bytes(SigningKey(bytes.fromhex(private_key)).verify_key)
        worker = store.enroll_tokens.enroll_trusted(
            name, public_key, [queues[number % len(queues)]], now=datetime.now(UTC)
        )
        keys.append(WorkerKey(str(worker.id), name, private_key))
    engine.dispose()
    return keys


def _answers(url: str, server: Process) -> float:
    """Wait until there is a good answer; give the moment."""

    def answer() -> bool:
        server.check()
        try:
            return httpx.get(url, timeout=10, trust_env=False).is_success
        except httpx.TransportError:
            return False

    wait_for(answer, url, timeout=_LINK_TIMEOUT, interval=_ANSWER_INTERVAL)
    return time.monotonic()


def _count(fleet: Fleet, since: float, what: str) -> int:
    return sum(event["what"] == what for event in fleet.events(since))


def _troubles(fleet: Fleet, since: float) -> dict[str, int]:
    return dict(Counter(event["about"] for event in fleet.events(since) if event["what"] == "trouble"))


if __name__ == "__main__":
    main()
