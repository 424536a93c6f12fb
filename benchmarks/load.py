"""`python -m benchmarks.load`: so many workers on so many queues; what they cost, and how soon they get their jobs.

One or more API servers on a durable PostgreSQL; workers are the agent's own links, in processes of their own, each of
which serves one queue, takes what it is offered and says at once that it has ended. Jobs are put in as the executor
does. A wait is from the COMMIT to the offer's arrival at the worker. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import psutil
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from airflow_edge.protocol.urls import PREFIX
from airflow_edge.store import queueing
from airflow_edge.store.tables import JobRow
from benchmarks import counting_plugin, report
from benchmarks.load_fleet import WRITTEN_EVERY, Work
from benchmarks.measures import Series
from benchmarks.peers import Ground
from benchmarks.reconnect import enroll
from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow
from harness.database import PostgresServer
from harness.fleet import save
from harness.processes import Process
from harness.waiting import wait_for

_PATIENCE: Final = 300.0
_SETTLING: Final = 10.0
"""Seconds between what was begun and the next measurement."""
_HELD: Final = 200
"""Jobs that run while all links are cut."""
_HELD_FOR: Final = 40.0
"""Seconds for which they run."""

_ENDED_ROWS: Final = text(
    "INSERT INTO airflow_edge_job (id, kind, workload_id, dag_id, task_id, run_id, map_index, try_number, queue,"
    " priority_weight, slots, owner, log_path, workload, state, assignment, released, to_stop, log_complete, queued_at,"
    " started_at, ended_at, booked_at, reason)"
    " SELECT gen_random_uuid(), 'task', gen_random_uuid(), 'old', 't', 'r', -1, 1, 'q0', 1, 1, 1, 'x/' || number, '{}',"
    " 'succeeded', 1, true, false, true, now(), now(), now(), now(), '' FROM generate_series(1, :rows) AS number"
)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What was used up to a moment."""

    at: float
    servers: Sequence[float]
    """Processor seconds of each API server."""
    database: float
    fleets: float
    transactions: int
    statements: int

    def since(self, before: Usage) -> dict[str, Any]:
        """What was used since then."""
        seconds = self.at - before.at

        def percent(now: float, then: float) -> float:
            return round(100 * (now - then) / seconds, 1)

        return {
            "s": round(seconds, 1),
            "server_cpu_pct": [percent(*pair) for pair in zip(self.servers, before.servers, strict=True)],
            "pg_cpu_pct": percent(self.database, before.database),
            "fleet_cpu_pct": percent(self.fleets, before.fleets),
            "transactions_per_s": round((self.transactions - before.transactions) / seconds, 1),
            "statements_per_s": round((self.statements - before.statements) / seconds, 1),
        }


class Load:
    """A centre, the fleet that is linked to it, and what both do."""

    def __init__(self, airflow: Airflow, postgres: PostgresServer, folder: Path, queues: Sequence[str]) -> None:
        self._airflow = airflow
        self._folder = folder
        self._queues = queues
        self._postgres = psutil.Process(postgres.pid)
        self._servers: list[psutil.Process] = []
        self._fleets: list[Process] = []
        self._events: list[Path] = []
        self._engine: Engine = airflow.database.engine()
        self._put = 0

    def start_servers(self, count: int) -> None:
        self._servers = [psutil.Process(self._airflow.start_api_server().pid) for _ in range(count)]

    def add_ended_jobs(self, count: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(_ENDED_ROWS, {"rows": count})
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE airflow_edge_job"))

    def start_fleets(self, workers: int, processes: int, slots: int, stack: ExitStack) -> None:
        keys = enroll(self._airflow.database, workers, self._queues)
        for number in range(processes):
            file, events = self._folder / f"workers-{number}.json", self._folder / f"events-{number}.jsonl"
            save(keys[number::processes], file)
            events.touch()
            gateway = f"{self._airflow.urls[number % len(self._servers)]}{PREFIX}"
            fleet = Process(
                f"fleet-{number}",
                [
                    environments.centre() / "bin" / "python",
                    "-m",
                    "benchmarks.load_fleet",
                    gateway,
                    file,
                    events,
                    str(slots),
                ],
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                cwd=Path(__file__).parent.parent,
                log=self._folder / f"fleet-{number}.log",
            )
            stack.callback(fleet.stop)
            self._fleets.append(fleet)
            self._events.append(events)

    def noted(self, what: str) -> list[tuple[str, float]]:
        """What was noted of this kind: about what, and when."""
        for fleet in self._fleets:
            fleet.check()
        # The last line may be half written.
        lines = (line for events in self._events for line in events.read_text().split("\n")[:-1])
        return [(about, at) for kind, about, at in map(json.loads, lines) if kind == what]

    def wait_until_linked(self, workers: int, since: float) -> float:
        """Wait until all have linked since then; give how many seconds later the last of them had."""

        def linked() -> float | None:
            firsts: dict[str, float] = {}
            for name, at in self.noted("linked"):
                if at >= since:
                    firsts.setdefault(name, at)
            return max(firsts.values()) if len(firsts) == workers else None

        return wait_for(linked, f"{workers} links", timeout=_PATIENCE, interval=0.5) - since

    def cut(self) -> float:
        """Cut all links; give when."""
        now = time.monotonic()
        for fleet in self._fleets:
            os.kill(fleet.pid, signal.SIGUSR1)
        return now

    def memory(self) -> list[int]:
        """Bytes that each API server has in memory."""
        return [server.memory_info().rss for server in self._servers]

    def usage(self) -> Usage:
        query = "SELECT sum(xact_commit + xact_rollback) AS n FROM pg_stat_database"
        return Usage(
            servers=[_processor_time([server]) for server in self._servers],
            # Of the connections that are there, and of those that have ended.
            database=_processor_time(self._postgres.children()) + sum(self._postgres.cpu_times()[:4]),
            fleets=_processor_time(psutil.Process(fleet.pid) for fleet in self._fleets),
            transactions=int(self._airflow.database.value(query)),
            statements=counting_plugin.counted(self._folder / "statements"),
            at=time.monotonic(),
        )

    def queue(self, count: int, *, seconds: float = 0.0) -> list[str]:
        """Queue jobs, all of them seen at once; give their ids."""
        ids = []
        with Session(self._engine) as session:
            for _ in range(count):
                job = self._job(seconds)
                queueing.add_job(session, job, now=datetime.now(UTC))
                ids.append(str(job.id))
            session.commit()
        return ids

    def count(self, *states: str) -> int:
        """How many jobs are in one of these states."""
        query = "SELECT count(*) FROM airflow_edge_job WHERE state = ANY(:states)"
        return int(self._airflow.database.value(query, states=list(states)))

    def wait_for_ends(self, timeout: float) -> tuple[float, int]:
        """Wait until all jobs have ended; give how many seconds that took, and how many have not, or not well."""
        began = time.monotonic()
        try:
            wait_for(
                lambda: not self.count("queued", "leased", "running"),
                "the ends of all jobs",
                timeout=timeout,
                interval=0.1,
            )
        except TimeoutError as error:
            print(error, flush=True)
        seconds = time.monotonic() - began
        # What the fleets have noted is written a moment later.
        time.sleep(2 * WRITTEN_EVERY)
        query = "SELECT count(*) AS n FROM airflow_edge_job WHERE state <> 'succeeded'"
        return seconds, int(self._airflow.database.value(query))

    def _job(self, seconds: float) -> JobRow:
        self._put += 1
        job_id, workload_id = uuid4(), uuid4()
        # Of the length that Airflow's have; the fleet reads what it knows of it.
        padding = {
            "context_carrier": {},
            "log_path": "x" * 100,
            "bundle_info": {"name": "dags-folder", "version": None},
        }
        workload = msgspec.json.encode(msgspec.to_builtins(Work(seconds)) | padding | {"ti": str(workload_id) * 8})
        return JobRow(
            id=job_id,
            kind="task",
            workload_id=workload_id,
            dag_id="load",
            task_id="t",
            run_id="r",
            map_index=-1,
            try_number=1,
            queue=self._queues[self._put * 7919 % len(self._queues)],
            team_name=None,
            priority_weight=1,
            slots=1,
            owner=1,
            log_path=f"load/{job_id}",
            workload=workload.decode(),
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--workers", type=int, default=1000, help="links (%(default)s)")
    parser.add_argument("--queues", type=int, default=1000, help="served by one worker or more each (%(default)s)")
    parser.add_argument("--rate", type=float, default=20.0, help="jobs a second, one by one; 0 for none (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="for which they are queued (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2000, help="queued in one moment; 0 for none (%(default)s)")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds without a job; 0 for none (%(default)s)")
    parser.add_argument("--table", type=int, default=0, help="ended jobs in the table before (%(default)s)")
    parser.add_argument("--gateways", type=int, default=1, help="API servers (%(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="for the workers (%(default)s)")
    parser.add_argument("--slots", type=int, default=16, help="of each worker (%(default)s)")
    parser.add_argument("--cut", action="store_true", help="cut all links in one moment at the end")
    parser.add_argument("--record", action="store_true", help="write the result to benchmarks/results")
    options = parser.parse_args()
    options.processes = max(options.processes, options.gateways)
    # So that everything is stopped and removed then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    figures = measure(options)
    if options.record:
        what = (
            f"load-{options.workers}-workers-{options.queues}-queues-{options.table}-ended-{options.gateways}-gateways"
        )
        command = f"python -m benchmarks.load {shlex.join(sys.argv[1:])}".strip()
        record = report.save(what, command=command, settings=vars(options), peers=["edge"], figures=figures)
        print(f"written to {record.relative_to(report.RESULTS.parent.parent)}", flush=True)
    print(json.dumps(figures))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start everything, and measure one thing after the other."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        (folder / "statements").mkdir()
        postgres = stack.enter_context(PostgresServer(durable=True).running())
        airflow = stack.enter_context(
            Ground(folder, postgres).airflow(
                "edge",
                venv=environments.centre(),
                executor=EDGE_EXECUTOR,
                config=EDGE_CONFIG,
                environment={"COUNTED_STATEMENTS": str(folder / "statements")},
            )
        )
        plugin = Path(counting_plugin.__file__)
        (airflow.folder / "plugins" / plugin.name).write_text(plugin.read_text())
        load = Load(airflow, postgres, folder, [f"q{number}" for number in range(options.queues)])
        figures: dict[str, Any] = {"args": vars(options)}
        if options.table:
            load.add_ended_jobs(options.table)
        load.start_servers(options.gateways)
        if options.idle:
            figures["idle_without_links"] = _idle(load, options.idle)
        memory = load.memory()
        began = time.monotonic()
        load.start_fleets(options.workers, options.processes, options.slots, stack)
        figures["linked_s"] = round(load.wait_until_linked(options.workers, began), 1)
        print(f"{options.workers} linked", flush=True)
        time.sleep(_SETTLING)
        figures["server_rss_mb"] = [round(now / 1e6) for now in load.memory()]
        figures["kb_per_link"] = round((sum(load.memory()) - sum(memory)) / 1e3 / options.workers, 1)
        if options.idle:
            figures["idle"] = _idle(load, options.idle)
        if options.rate:
            figures["rate"] = _one_by_one(load, options.rate, options.seconds)
        if options.jobs:
            figures["drain"] = _at_once(load, options.jobs)
        if options.cut:
            figures["cut"] = _cut(load, options.workers)
        figures["gave_up"] = len(load.noted("gave up"))
        return figures


def _idle(load: Load, seconds: float) -> dict[str, Any]:
    time.sleep(_SETTLING)
    before = load.usage()
    time.sleep(seconds)
    return load.usage().since(before)


def _one_by_one(load: Load, rate: float, seconds: float) -> dict[str, Any]:
    put: dict[str, float] = {}
    before, began = load.usage(), time.monotonic()
    while time.monotonic() - began < seconds:
        (job_id,) = load.queue(1)
        put[job_id] = time.monotonic()
        time.sleep(max(0.0, began + len(put) / rate - time.monotonic()))
    used = load.usage()
    _, lost = load.wait_for_ends(_PATIENCE)
    waits = Series(_waits(put, load.noted("offered")))
    return used.since(before) | {
        "jobs": len(put),
        "offered": len(waits.samples),
        "p50_ms": round(1e3 * waits.median, 1),
        "p95_ms": round(1e3 * waits.p95, 1),
        "p99_ms": round(1e3 * waits.p99, 1),
        "max_ms": round(1e3 * max(waits.samples), 1),
        "statements_per_job": round((used.statements - before.statements) / len(put), 2),
        "lost": lost,
    }


def _at_once(load: Load, jobs: int) -> dict[str, Any]:
    offered = len(load.noted("offered"))
    before = load.usage()
    load.queue(jobs)
    seconds, lost = load.wait_for_ends(_PATIENCE)
    used = load.usage()
    return used.since(before) | {
        "jobs": jobs,
        "jobs_per_s": round((jobs - lost) / seconds, 1),
        "offers": len(load.noted("offered")) - offered,
        "statements_per_job": round((used.statements - before.statements) / jobs, 3),
        "lost": lost,
    }


def _cut(load: Load, workers: int) -> dict[str, Any]:
    """Cut all links while jobs run at them, and see all of them end well."""
    load.queue(_HELD, seconds=_HELD_FOR)
    wait_for(lambda: load.count("running") == _HELD, "running jobs", timeout=_PATIENCE)
    before, at = load.usage(), load.cut()
    back = load.wait_until_linked(workers, at)
    used = load.usage().since(before)
    _, lost = load.wait_for_ends(_PATIENCE)
    return used | {"back_s": round(back, 1), "jobs": _HELD, "lost": lost}


def _waits(put: Mapping[str, float], offered: Iterable[tuple[str, float]]) -> list[float]:
    """Seconds until each job was offered for the first time."""
    first: dict[str, float] = {}
    for job_id, at in offered:
        first.setdefault(job_id, at)
    return [max(0.0, first[job_id] - at) for job_id, at in put.items() if job_id in first]


def _processor_time(processes: Iterable[psutil.Process]) -> float:
    seconds = 0.0
    for process in processes:
        # A connection's process may end meanwhile.
        with suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:2])
    return seconds


if __name__ == "__main__":
    main()
