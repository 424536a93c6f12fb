"""Runs a whole Airflow with one worker at a site, both watched, and gives what the jobs of a few tasks went through."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow, MigratedDatabases
from harness.database import SqliteFiles
from harness.site import Site
from harness.waiting import wait_for

HERE = Path(__file__).parent
TIMEOUT = 120.0
JOBS = 3
"""Jobs that travel one after the other: what only one of them met was there by chance."""

Shapes = tuple[str, ...]
"""Classes (`module:name`) from the outside in; empty where it is the job's bare name, a path or encoded bytes."""


@dataclass(frozen=True)
class Touch:
    """A function of ours is called with a job in its hands, or returns."""

    at: int
    """Nanoseconds of the machine's monotonic clock."""
    pid: int
    returns: bool
    call: int
    """Number of the call within its process."""
    above: tuple[int, ...]
    """The calls, of functions of ours, within which it is."""
    file: str
    function: str
    in_hand: tuple[Shapes, ...]
    """Arguments, and local variables where it returns."""
    given: tuple[Shapes, ...]
    """What it returns."""


@dataclass(frozen=True)
class Travel:
    """One job, and who had it in hands until its task's own code began, in order of time."""

    touches: list[Touch]
    arrived: int
    processes: dict[int, str] = field(repr=False)
    """What each process is called."""


def travels() -> list[Travel]:
    """Have jobs travel, and give what was seen."""
    with tempfile.TemporaryDirectory(prefix="journey-") as folder:
        return list(_travels(Path(folder)))


def _travels(folder: Path) -> Iterator[Travel]:
    record = folder / "record"
    record.mkdir()
    dags = folder / "dags"
    dags.symlink_to(HERE / "dags", target_is_directory=True)
    watched = {"PYTHONPATH": str(HERE / "hook"), "JOURNEY_FOLDER": str(record)}
    centre_code, site_code = str(dags / "arriving.py"), str(folder / "site" / "dags" / "arriving.py")
    venv = environments.centre()
    database = MigratedDatabases(SqliteFiles(folder), folder, venv=venv).create("airflow")
    airflow = Airflow(
        folder / "centre",
        database,
        venv=venv,
        dags=dags,
        executor=EDGE_EXECUTOR,
        config=EDGE_CONFIG,
        environment=watched | {"JOURNEY_USER_CODE": centre_code},
    )
    site = Site(folder / "site", venv=venv, dags=dags, environment=watched | {"JOURNEY_USER_CODE": site_code})
    with airflow, site:
        airflow.boot(triggerer=False)
        site.enroll(airflow.url, airflow.enroll_token(), name="worker")
        site.start_worker()
        wait_for(lambda: site.status()["state"] == "idle", "the worker to be ready", timeout=TIMEOUT)
        with airflow.client() as client:
            client.wait_for_dags(["journey"], timeout=TIMEOUT)
            _watch(record)
            for _ in range(JOBS):
                run = client.wait_for_run(client.trigger("journey"), timeout=TIMEOUT)
                assert run.state == "success", run
    jobs = database.rows("SELECT id, workload_id FROM airflow_edge_job")
    assert len(jobs) == JOBS, jobs
    events = list(_events(record))
    processes = _processes(events)
    for job in jobs:
        yield _travel(str(UUID(job["id"])), str(UUID(job["workload_id"])), events, processes)


def _watch(record: Path) -> None:
    for file in record.glob("*.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.stem), signal.SIGRTMIN + 5)


def _events(record: Path) -> Iterator[dict[str, Any]]:
    for file in record.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            yield {"pid": int(file.stem), **json.loads(line)}


def _processes(events: list[dict[str, Any]]) -> dict[int, str]:
    names: dict[int, str] = {}
    begun = {event["pid"]: event for event in events if event["event"] == "process"}
    for pid, event in begun.items():
        words = " ".join(event["words"])
        names[pid] = next((name for part, name in _COMMANDS.items() if part in words), "supervisor")
    return names


_COMMANDS = {
    "airflow api-server": "API server",
    "airflow scheduler": "scheduler",
    "airflow-edge worker": "agent",
    "airflow_edge.runtime": "runtime",
    "airflow dag-processor": "Dag processor",
}


def _travel(job: str, task: str, events: list[dict[str, Any]], processes: dict[int, str]) -> Travel:
    def about(found: list[tuple[list[str], str]]) -> tuple[Shapes, ...]:
        """Airflow's workload has no job id, but its task instance's; nothing else goes by that name."""
        names = [(tuple(shapes), name) for shapes, name in found]
        return tuple(shapes for shapes, name in names if name == job or (name == task and shapes[-1:] in _WORKLOADS))

    touches = [
        Touch(
            at=event["at"],
            pid=event["pid"],
            returns=event["event"] == "return",
            call=event["call"],
            above=tuple(event["above"]),
            file=event["file"],
            function=event["function"],
            in_hand=about(event["in_hand"]),
            given=about(event["given"]),
        )
        for event in events
        if event["event"] in ("call", "return")
    ]
    touches = sorted((touch for touch in touches if touch.in_hand or touch.given), key=lambda touch: touch.at)
    began = touches[0].at
    arrived = min(event["at"] for event in events if event["event"] == "user code" and event["at"] > began)
    return Travel([touch for touch in touches if touch.at < arrived], arrived, processes)


_WORKLOADS = {("ExecuteTask",), ("ExecuteCallback",)}
