"""How long the lists of a large fleet take: the store's and the fleet's calls, and the whole commands.

    python -m tools.measure_fleet [--workers 5000] [--jobs 100000] [--queues 200] [--times 5]

On PostgreSQL with Airflow's tables and ours. What a command takes besides Airflow's own start-up is its time less that
of a command of Airflow's that reads one row: it starts the same and checks the same database. Each figure is the median
of `--times` runs, the two commands in turn, since the machine is not equally fast all the time.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, create_engine, insert, text
from sqlalchemy.orm import sessionmaker

from airflow_edge.admin.fleet import Fleet
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.fleet.choosing import WorkerFilter
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.overview import JobFilter
from airflow_edge.store.store import Store
from airflow_edge.store.tables import JobRow, WorkerRow
from harness import environments
from harness.airflow import Airflow
from harness.database import PostgresServer

START_UP = ("pools", "get", "default_pool", "-o", "json")
COMMANDS = (
    ("list-workers", "-o", "json"),
    ("list-workers", "-o", "table"),
    ("list-workers", "-o", "json", "--state", "maintenance mode"),
    ("list-queues", "-o", "table"),
    ("list-jobs", "-o", "table"),
)
PATIENCE = Patience(silence=timedelta(seconds=15), grace=timedelta(minutes=15))
AT_ONCE = 5_000
SLOTS = 16
STATES = (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED)
SHARES = (30, 20, 45, 5)
"""Percent of the jobs that are in each of these states."""


def fill(engine: Engine, workers: int, jobs: int, queues: int) -> None:
    """Write a fleet in the middle of its work."""
    now = datetime.now(UTC)
    names = [f"queue-{number}" for number in range(queues)]
    enrolled = [_worker(number, names, now) for number in range(workers)]
    with engine.begin() as connection:
        connection.execute(insert(WorkerRow), enrolled)
    for first in range(0, jobs, AT_ONCE):
        rows = [_job(number, enrolled, now) for number in range(first, min(first + AT_ONCE, jobs))]
        with engine.begin() as connection:
            connection.execute(insert(JobRow), rows)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _worker(number: int, queues: list[str], now: datetime) -> dict[str, Any]:
    resting = random.random() < 0.05
    # Nothing keeps them linked while this runs: they are heard of an hour from now, but for those out of reach.
    heard = now - timedelta(minutes=5) if random.random() < 0.02 else now + timedelta(hours=1)
    return {
        "id": uuid4(),
        "name": f"plant-{number % 50}-machine-{number}",
        "public_key": random.randbytes(32),
        "queues": random.sample(queues, k=min(3, len(queues))),
        "state": WorkerState.MAINTENANCE_MODE if resting else WorkerState.RUNNING,
        "concurrency": SLOTS,
        "enrolled_at": now - timedelta(days=random.randrange(400)),
        "last_seen_at": heard,
        "changed_at": now,
        "link_id": uuid4(),
        "gateway_id": "gateway",
        "transport": "WebSocket",
        "agent_version": "0.1.0",
        "airflow_version": "3.3.2",
        "conditions": "",
        "warnings": "",
        "system": {"concurrency": SLOTS, "free_slots": 3, "cpus": 8, "load": 1.5},
    }


def _job(number: int, workers: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    worker = random.choice(workers)
    state = random.choices(STATES, SHARES)[0]
    waits = state is JobState.QUEUED
    queued = now - timedelta(seconds=random.randrange(86_400))
    return {
        "id": uuid4(),
        "kind": "task",
        "workload_id": uuid4(),
        "dag_id": f"dag-{number % 500}",
        "task_id": f"task-{number % 20}",
        "run_id": f"run-{number // 10_000}",
        "map_index": number // 20,
        "try_number": 1,
        "queue": random.choice(worker["queues"]),
        "priority_weight": random.randrange(5),
        "slots": 1,
        "owner": None,
        "log_path": f"dag_id=dag-{number % 500}/run_id=run/task_id={number}/attempt=1.log",
        "workload": "x" * 1500,
        "state": state,
        "assignment": 0 if waits else 1,
        "worker_id": None if waits else worker["id"],
        "released": not waits and state is not JobState.RUNNING,
        "to_stop": False,
        "log_complete": False,
        "queued_at": queued,
        "started_at": None if waits else queued,
        "ended_at": queued if state in {JobState.SUCCEEDED, JobState.FAILED} else None,
        "reason": "",
    }


def measure_calls(engine: Engine, times: int) -> None:
    """Print what the calls behind the commands take."""
    store = Store(sessionmaker(engine, autoflush=False, expire_on_commit=False))
    fleet = Fleet(store)
    calls: dict[str, Callable[[], object]] = {
        "all workers": lambda: store.fleet.find_workers(WorkerFilter(), limit=100_000),
        "a page of workers": lambda: store.fleet.find_workers(WorkerFilter(), limit=50, offset=2_000),
        "workers of a queue": lambda: store.fleet.find_workers(WorkerFilter(queue="queue-1"), limit=50),
        "the fleet at a glance": store.fleet.overview,
        "a page of workers with all there is to show": lambda: store.fleet.page_of_workers(
            WorkerFilter(), PATIENCE, limit=100, offset=2_000, now=datetime.now(UTC)
        ),
        "the same by what was measured": lambda: store.fleet.page_of_workers(
            WorkerFilter(), PATIENCE, order="-cpu", limit=100, now=datetime.now(UTC)
        ),
        "queues": fleet.queues,
        "jobs of workers out of reach": lambda: store.jobs.awaited(PATIENCE, now=datetime.now(UTC)),
        "a page of jobs": lambda: store.fleet.find_jobs(JobFilter(), limit=100),
        "a late page of jobs": lambda: store.fleet.find_jobs(JobFilter(), limit=100, offset=50_000),
        "jobs of a Dag": lambda: store.fleet.find_jobs(JobFilter(dag_id="dag-7"), limit=100),
    }
    for name, call in calls.items():
        print(f"  {name:40} {_median(call, times) * 1000:8.0f} ms")


def measure_commands(airflow: Airflow, times: int) -> None:
    """Print what whole commands take, with and without Airflow's start-up."""
    for words in COMMANDS:
        both = [(_seconds(airflow.cli, *START_UP), _seconds(airflow.cli, "edge", *words)) for _ in range(times)]
        started, taken = (statistics.median(some) for some in zip(*both, strict=True))
        besides = statistics.median(ours - airflows for airflows, ours in both)
        name = " ".join(("airflow edge", *words))
        print(f"  {name:60} {taken:5.2f} s; Airflow's {started:.2f} s; {besides:.2f} s besides")


def _median(call: Callable[[], object], times: int) -> float:
    return statistics.median(_seconds(call) for _ in range(times))


def _seconds(call: Callable[..., object], *arguments: str) -> float:
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workers", type=int, default=5_000)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--queues", type=int, default=200)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder, PostgresServer().running() as server:
        database = server.create("fleet")
        airflow = Airflow(Path(folder), database, venv=environments.centre(), dags=Path(folder))
        airflow.migrate()
        engine = create_engine(database.url)
        fill(engine, arguments.workers, arguments.jobs, arguments.queues)
        print(f"{arguments.workers} workers, {arguments.jobs} jobs, {arguments.queues} queues on PostgreSQL:")
        measure_calls(engine, arguments.times)
        measure_commands(airflow, arguments.times)
        engine.dispose()


if __name__ == "__main__":
    main()
