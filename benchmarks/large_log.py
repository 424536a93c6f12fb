"""`python -m benchmarks.large_log`: what one task that writes 200 MB costs in memory, and how soon its log opens.

Two API servers on PostgreSQL and one worker, linked to the first of them; the log is read at the other one. Memory is
resident memory beyond what the same processes had at rest, after a small log of the same kind was written and read:
by the agent alone, and by each API server with its children. It is watched until the log is complete, which means that
its SHA-256 was verified, and compacted, which either API server may do.

Airflow's log page asks for the whole log as one stream of JSON lines, and so does this: it opens when the stream's
first lines are there. (Airflow's own page shows nothing before it has all of them, whatever executor there is.)
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import report
from benchmarks.measures import Series
from benchmarks.peers import Ground, edge_and_site
from harness.airflow import Airflow
from harness.client import Client, DagRun
from harness.database import PostgresServer
from harness.processes import Process
from harness.site import Site
from harness.waiting import wait_for

MOST_MEMORY = 64.0
"""MB by which no process may grow."""
LATEST_PAGE = 2.0
"""Seconds after which the first page is there."""
PAGE = 1_000
"""Lines."""
TIMES_OPENED = 7
SMALL = 2
"""MB of the log that is written and read before anything is measured."""

_DAG = "large_log"
_TASK = "write"
_MB = 1_000_000
_LOOK_INTERVAL = 0.05
_REST = 5.0
_PATIENCE = 900.0


class Memory:
    """The resident memory of some processes, and the most that each of them had."""

    def __init__(self, processes: Mapping[str, tuple[Process, bool]]) -> None:
        """:param processes: by name; with True, the children of a process count, too"""
        self._processes = processes
        self.most: dict[str, int] = {}

    def look(self) -> dict[str, int]:
        """Give what each has now, in bytes."""
        now = {name: _resident(process.pid, children) for name, (process, children) in self._processes.items()}
        self.most = {name: max(size, self.most.get(name, 0)) for name, size in now.items()}
        return now

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_LOOK_INTERVAL):
                self.look()

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                yield
            finally:
                over.set()
            watching.result()


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What came of it: sizes in MB, times in seconds."""

    size: float
    idle: Mapping[str, float]
    growth: Mapping[str, float]
    task: float
    """From the task's start to its end."""
    complete_after_end: float
    """From the task's end to the log's being complete and verified."""
    first_byte: Series
    first_page: Series

    @property
    def checks(self) -> list[tuple[str, bool]]:
        """Give each limit, and whether it is kept."""
        page, slowest = self.first_page, max(self.first_page.samples)
        return [
            *(
                (f"{name} grows by at most {MOST_MEMORY:g} MB: by {growth:.1f}", growth <= MOST_MEMORY)
                for name, growth in self.growth.items()
            ),
            (
                f"{PAGE:,} lines within {LATEST_PAGE:g} s on the other API server: "
                f"median {page.median:.2f}, slowest {slowest:.2f}",
                slowest <= LATEST_PAGE,
            ),
        ]


def main() -> int:
    summary = __doc__.splitlines()[0] if __doc__ else None
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_log", description=summary)
    parser.add_argument("--size", type=int, default=200, help="of the log, in MB (%(default)s)")
    parser.add_argument("--record", action="store_true", help="write the result to benchmarks/results")
    options = parser.parse_args()
    # So that everything is stopped and removed then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        PostgresServer(durable=True).running() as postgres,
    ):
        print("starting", flush=True)
        with edge_and_site(Ground(Path(folder), postgres), api_servers=2) as (airflow, site):
            figures = measure(airflow, site, size=options.size)
    print(
        f"log of {figures.size:.0f} MB, written in {figures.task:.1f} s; complete and verified"
        f" {figures.complete_after_end:.1f} s after the task's end; first byte after {figures.first_byte.median:.2f} s"
    )
    for text, kept in figures.checks:
        print(f"{'met    ' if kept else 'NOT MET'}  {text}")
    if options.record:
        record = report.save(
            "large-log",
            command=f"python -m benchmarks.large_log {shlex.join(sys.argv[1:])}".strip(),
            settings={"size_mb": options.size, "api_servers": 2, "page_lines": PAGE},
            peers=["edge"],
            megabytes={"log": round(figures.size, 1), "idle": figures.idle, "growth": figures.growth},
            seconds={
                "task": round(figures.task, 2),
                "complete_after_task_end": round(figures.complete_after_end, 2),
                "first_byte": figures.first_byte.as_json(),
                "first_page": figures.first_page.as_json(),
            },
        )
        print(f"written to {record.relative_to(report.RESULTS.parent.parent)}")
    return 0 if all(kept for _, kept in figures.checks) else 1


def measure(airflow: Airflow, site: Site, *, size: int) -> Figures:
    """Let a task write so many MB, watch everybody meanwhile, then read."""
    assert site.worker is not None
    linked, other = airflow.components[:2]
    assert {linked.name, other.name} == {"api-server-1", "api-server-2"}
    watched = {
        "the agent": (site.worker, False),
        "the API server with the link": (linked, True),
        "the other API server": (other, True),
    }
    with airflow.client(airflow.urls[-1]) as client:
        client.wait_for_dags([_DAG])
        open_page(client, _write(airflow, client, SMALL)[0])
        time.sleep(_REST)
        memory = Memory(watched)
        idle = memory.look()
        print(f"the task writes {size} MB", flush=True)
        with memory.watched():
            run, complete_at = _write(airflow, client, size)
        task = client.task(run, _TASK)
        assert task.start_date is not None
        assert task.end_date is not None
        stored = _log(airflow, run)["size"]
        assert stored >= size * _MB, f"the log has {stored} bytes only"
        print("reading", flush=True)
        opened = [open_page(client, run) for _ in range(TIMES_OPENED)]
    return Figures(
        size=stored / _MB,
        idle={name: round(held / _MB, 1) for name, held in idle.items()},
        growth={name: round((most - idle[name]) / _MB, 1) for name, most in memory.most.items()},
        task=(task.end_date - task.start_date).total_seconds(),
        complete_after_end=max(0.0, complete_at - task.end_date.timestamp()),
        first_byte=Series([first_byte for first_byte, _ in opened]),
        first_page=Series([page for _, page in opened]),
    )


def open_page(client: Client, run: DagRun) -> tuple[float, float]:
    """Open a log; give the seconds to its first byte and to its first page, then leave."""
    began = time.monotonic()
    first_byte, lines = 0.0, 0
    with client.log_stream(run, _TASK) as pieces:
        for piece in pieces:
            first_byte = first_byte or time.monotonic() - began
            lines += piece.count(b"\n")
            if lines >= PAGE:
                return first_byte, time.monotonic() - began
    raise RuntimeError(f"the log has {lines} lines only")


def _write(airflow: Airflow, client: Client, megabytes: int) -> tuple[DagRun, float]:
    """Run the task and wait until its log is complete and compacted; give the run and the time of completion."""
    run = client.trigger(_DAG, conf={"megabytes": megabytes})

    def complete() -> bool:
        airflow.check()
        return bool(_log(airflow, run).get("complete"))

    wait_for(complete, f"the log of {megabytes} MB to be complete", timeout=_PATIENCE, interval=0.2)
    complete_at = time.time()
    wait_for(lambda: _log(airflow, run)["tidy_at"] is None, "the log to be compacted", timeout=_PATIENCE)
    ended = client.wait_for_run(run, check=airflow.check)
    assert ended.state == "success", ended
    return run, complete_at


def _log(airflow: Airflow, run: DagRun) -> Mapping[str, Any]:
    """Give what the centre has noted of the run's log; nothing before its first piece."""
    rows = airflow.database.rows(
        "SELECT log.size, log.complete, log.tidy_at FROM airflow_edge_log AS log"
        " JOIN airflow_edge_job AS job ON job.id = log.job_id WHERE job.run_id = :run_id",
        run_id=run.run_id,
    )
    return rows[0] if rows else {}


def _resident(pid: int, children: bool) -> int:
    process = psutil.Process(pid)
    size = process.memory_info().rss
    for child in process.children(recursive=True) if children else ():
        with suppress(psutil.NoSuchProcess):
            size += child.memory_info().rss
    return size


if __name__ == "__main__":
    sys.exit(main())
