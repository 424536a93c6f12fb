"""A run under fire, from its first task to the verdict."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy.exc import DBAPIError

from harness.client import ApiError
from harness.processes import ProcessFailedError
from harness.waiting import wait_for
from tests.chaos import reading
from tests.chaos.checker import JOB_ENDED_STATES, RUN_ENDED_STATES, Finding, Kind, check, killed
from tests.chaos.deployment import Deployment, open_deployment
from tests.chaos.evidence import Evidence, Leftover
from tests.chaos.plan import Fault, draw
from tests.chaos.saboteur import Exit, Saboteur

DAG = "chaos"
PLACES = tuple(f"site-{number}" for number in range(1, 6))
CONCURRENCY = 5
TASKS_PER_RUN = 20
RUNS_AT_ONCE = 12
SCHEDULERS = 2

DRAIN_TIMEOUT = 420.0
"""Seconds: beyond what Airflow itself takes to give up on a task without heartbeats."""

_TICK = 0.1


@dataclass
class Outcome:
    """What came of it."""

    jobs: int
    faults: Counter[Fault]
    findings: list[Finding]
    drained_after: float
    """Seconds from the end of all faults until nothing was left to do."""
    logs: int
    """Logs of which every line was looked at."""
    killed: int
    """Tries that died because what ran them was killed on purpose."""
    exits: list[Exit]
    """Processes that ended by themselves."""
    report: list[str] = field(default_factory=list)

    def count(self, kind: Kind) -> int:
        return sum(finding.kind is kind for finding in self.findings)

    @property
    def line(self) -> str:
        counts = ", ".join(f"{self.count(kind)} {kind}" for kind in Kind)
        return f"chaos: {self.jobs} jobs, {self.faults.total()} faults, {counts}, {self.drained_after:.0f} s to drain"


def storm(
    folder: Path, *, seconds: float, seed: int, say: Callable[[str], None] = print, worker_venv: Path | None = None
) -> Outcome:
    """Boot everything in `folder`, break what the seed says for so many seconds, rest, and judge."""
    report: list[str] = []

    def note(line: str) -> None:
        report.append(line)
        say(line)

    with open_deployment(
        folder,
        places=PLACES,
        dags=[DAG],
        queues=["default"],
        schedulers=SCHEDULERS,
        concurrency=CONCURRENCY,
        worker_venv=worker_venv,
        disks=True,
    ) as deployment:
        saboteur = Saboteur(deployment, draw(seed, seconds), note)
        feeder = _Feeder(deployment, seed)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            saboteur.act()
            feeder.feed()
            time.sleep(_TICK)
        saboteur.rest()
        note(f"{seconds:7.1f} s  no more faults; {feeder.triggered} runs were started")
        drained_after = _drain(deployment, saboteur, note)
        evidence = _evidence(deployment, feeder)
        findings = [*check(evidence), *_exits_of_agents(saboteur.exits)]
        outcome = Outcome(
            len([held for held in evidence.tries if held.of.number > 0]),
            saboteur.done,
            findings,
            drained_after,
            len(evidence.logs),
            killed(evidence),
            saboteur.exits,
            report,
        )
        if findings:
            _keep(deployment, folder / "evidence", outcome)
        return outcome


class _Feeder:
    """Keeps the sites busy."""

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.triggered = 0
        self.begun: list[str] = []
        """The ids of the runs of which Airflow has said that they have begun."""
        self._deployment = deployment
        self._seed = seed
        self._next_look = 0.0

    def feed(self) -> None:
        """Start one more run if there are too few; not knowing how many there are is no reason."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + 1.0
        rows = self._deployment.rows("SELECT count(*) AS open FROM dag_run WHERE state IN ('queued', 'running')")
        if rows is None or rows[0]["open"] >= RUNS_AT_ONCE:
            return
        if client := self._deployment.client():
            conf = {"tasks": TASKS_PER_RUN, "seed": self._seed * 100_000 + self.triggered}
            run_id = f"storm-{self.triggered}"
            try:
                with client:
                    client.trigger(DAG, run_id=run_id, conf=conf)
                self.begun.append(run_id)
            except (httpx.HTTPError, ApiError):
                # Perhaps it was started all the same: under the next name there is no conflict.
                pass
            self.triggered += 1


def _drain(deployment: Deployment, saboteur: Saboteur, note: Callable[[str], None]) -> float:
    """Wait until there is nothing left to do; say how many seconds that took."""
    began = time.monotonic()

    def drained() -> bool:
        saboteur.act()
        return _nothing_open(deployment) and not list(_leftovers(deployment))

    try:
        wait_for(drained, "everything to end", timeout=DRAIN_TIMEOUT, interval=0.5)
    except TimeoutError as error:
        note(str(error))
    return time.monotonic() - began


def _nothing_open(deployment: Deployment) -> bool:
    runs = deployment.rows("SELECT DISTINCT state FROM dag_run")
    if runs is None or not {row["state"] for row in runs} <= RUN_ENDED_STATES:
        return False
    try:
        jobs = reading.read_jobs(deployment.airflow.database, [DAG])
    except DBAPIError:
        return False
    return all(job.state in JOB_ENDED_STATES and (job.booked or not job.owned) and not job.to_stop for job in jobs)


def _leftovers(deployment: Deployment) -> Iterator[Leftover]:
    for place in deployment.places.values():
        for process in place.supervisors():
            yield Leftover(place.name, f"process {process.pid}")
        try:
            status = place.site.status()
        except ProcessFailedError as error:
            yield Leftover(place.name, f"a worker that does not answer: {error}")
            continue
        if status["link"]["state"] != "linked":
            yield Leftover(place.name, f"a worker that is not linked: {status['link']}")
        for job in status["jobs"]:
            yield Leftover(place.name, f"job {job}")
        if status["undelivered"]:
            yield Leftover(place.name, f"{status['undelivered']} jobs of which something was not delivered")


def _evidence(deployment: Deployment, feeder: _Feeder) -> Evidence:
    database = deployment.airflow.database
    entries = deployment.entries()
    with wait_for(deployment.client, "an API server", timeout=60) as client:
        logs = reading.read_logs(client, entries)
    return Evidence(
        entries=tuple(entries),
        tries=tuple(reading.read_tries(database, [DAG])),
        jobs=tuple(reading.read_jobs(database, [DAG])),
        asked_for=tuple(feeder.begun),
        runs=reading.read_runs(database, [DAG]),
        kills=tuple(deployment.kills()),
        spoiled_logs=frozenset(log for place in deployment.places.values() for log in place.spoiled_logs),
        full_disks=tuple(full for place in deployment.places.values() for full in place.full_disks),
        logs=tuple(logs),
        leftovers=tuple(_leftovers(deployment)),
    )


def _exits_of_agents(exits: list[Exit]) -> list[Finding]:
    """A worker has no reason ever to end by itself. Airflow's own components sometimes do."""
    return [
        Finding(Kind.STUCK, ended.name, f"ended by itself, with status {ended.status}")
        for ended in exits
        if ended.name.startswith("worker")
    ]


def _keep(deployment: Deployment, folder: Path, outcome: Outcome) -> None:
    """Write down what will be gone with the database."""
    folder.mkdir()
    for table in (
        "airflow_edge_job",
        "airflow_edge_worker",
        "task_instance",
        "task_instance_history",
        "dag_run",
        "job",
    ):
        rows: list[Any] = deployment.rows(f"SELECT * FROM {table}") or []
        text = "\n".join(json.dumps(dict(row), default=str, ensure_ascii=False) for row in rows)
        (folder / f"{table}.jsonl").write_text(text + "\n")
    for place in deployment.places.values():
        # A disk of its own goes with its site.
        subprocess.run(["cp", "-a", place.site.state_dir, folder / f"{place.name}-state"], check=False)
    (folder / "findings.txt").write_text("\n".join(str(finding) for finding in outcome.findings) + "\n")
    (folder / "faults.txt").write_text("\n".join(outcome.report) + "\n")
