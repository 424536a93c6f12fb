"""The words in which the named scenarios are told."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from harness.client import Client, DagRun, TaskInstance
from harness.waiting import wait_for
from tests.chaos import reading
from tests.chaos.checker import JOB_ENDED_STATES, check
from tests.chaos.deployment import Deployment, Place
from tests.chaos.evidence import Entry, Evidence, Job

OUTAGE = float(os.environ.get("OUTAGE", "60"))
"""Seconds that the outages last; `OUTAGE=300` is what they are meant to be, for whoever has the time."""
GRACE = OUTAGE + 20.0
"""`[edge] disconnect_grace` of the centre."""

ANYWHERE = "anywhere"
TASK = "work"

START_TIMEOUT = 60.0
"""Seconds in which a task has begun that nothing keeps from it, on a busy machine."""
BOOKED_TIMEOUT = 90.0
"""Seconds in which a scheduler has booked what ended: a dead one's work is taken over after 45."""

LOG_TIMEOUT = 10.0
"""Seconds in which the rest of a log has arrived after its task has ended."""

_numbers = itertools.count(1)


@dataclass
class Stage:
    """A deployment in which everything is well, until the scenario begins."""

    deployment: Deployment

    def place(self, name: str) -> Place:
        return self.deployment.places[name]

    def work_at(self, queue: str, **params: object) -> Work:
        """Send a task to a queue: a site's own, or `ANYWHERE`."""
        run_id = f"scenario-{next(_numbers)}"
        with self.client() as client:
            run = client.trigger(f"work_at_{queue}", run_id=run_id, conf=params)
        return Work(self, run)

    def client(self) -> Client:
        return wait_for(self.deployment.client, "an API server", timeout=START_TIMEOUT)

    def restart_centre(self, kind: str) -> None:
        """Start again what was killed of the centre, and wait until the API servers answer."""
        for process in self.deployment.components(kind):
            if process.exit_status is not None:
                process.restart()
        for url in self.deployment.airflow.urls:
            wait_for(partial(_answers, url), f"{url} to answer", timeout=START_TIMEOUT)

    def heal(self) -> None:
        """Have everything well again, for the next scenario."""
        for place in self.deployment.places.values():
            place.proxy.restore()
            if place.site.worker is None or place.site.worker.exit_status is not None:
                place.site.start_worker(linked=False)
        self.restart_centre("")
        self.deployment.wait_until_linked()


@dataclass
class Work:
    """A task that was sent to the sites."""

    stage: Stage
    run: DagRun

    def entries(self, what: str) -> list[Entry]:
        """What it has written down at the sites."""
        entries = self.stage.deployment.entries()
        return [entry for entry in entries if entry.of.run_id == self.run.run_id and entry.what == what]

    def waits_for(self, what: str, *, number: int = 1, timeout: float = START_TIMEOUT) -> Entry:
        """Wait until it has written this down so many times; gives the last one."""

        def there() -> Entry | None:
            found = self.entries(what)
            return found[-1] if len(found) >= number else None

        return wait_for(there, f"{what} number {number} of {self.run.run_id}", timeout=timeout)

    def succeeds(self, *, tries: Collection[int] = (1,), timeout: float = START_TIMEOUT) -> float:
        """Wait until Airflow holds it as a success, in one of these tries, with its XCom; gives the seconds it took."""
        began = time.monotonic()
        with self.stage.client() as client:
            ended = client.wait_for_run(self.run, timeout=timeout)
            seconds = time.monotonic() - began
            task = client.task(self.run, TASK)
            assert (ended.state, task.state) == ("success", "success")
            assert task.try_number in tries
            assert client.xcom(self.run, TASK).startswith("done at ")
        return seconds

    def task(self) -> TaskInstance:
        with self.stage.client() as client:
            return client.task(self.run, TASK)

    def jobs(self) -> list[Mapping[str, Any]]:
        """Our rows of it, one for each try."""
        sql = "SELECT * FROM airflow_edge_job WHERE run_id = :run_id ORDER BY try_number"
        return self.stage.deployment.rows(sql, run_id=self.run.run_id) or []

    def waits_for_job(self, *states: str, timeout: float = START_TIMEOUT) -> Mapping[str, Any]:
        """Wait until our row of its latest try is in one of these states."""

        def there() -> Mapping[str, Any] | None:
            rows = self.jobs()
            return rows[-1] if rows and rows[-1]["state"] in states else None

        return wait_for(there, f"the job of {self.run.run_id} to be {' or '.join(states)}", timeout=timeout)

    def is_well(self, *, but: Iterable[str] = ()) -> None:
        """Wait until it is booked; then nothing of it is lost, doubled or stuck, except what a finding's words say."""

        deployment, dags = self.stage.deployment, [self.run.dag_id]
        database = deployment.airflow.database

        def booked() -> tuple[Job, ...] | None:
            jobs = tuple(job for job in reading.read_jobs(database, dags) if job.of.run_id == self.run.run_id)
            done = all(job.state in JOB_ENDED_STATES and (job.booked or not job.owned) for job in jobs)
            return jobs if done else None

        wait_for(booked, f"{self.run.run_id} to be booked", timeout=BOOKED_TIMEOUT, interval=0.5)
        if not but:
            wait_for(self._has_its_log, f"the log of {self.run.run_id} to be complete", timeout=LOG_TIMEOUT)
        jobs = booked()
        assert jobs is not None
        entries = [entry for entry in deployment.entries() if entry.of.run_id == self.run.run_id]
        with self.stage.client() as client:
            logs = reading.read_logs(client, entries)
        evidence = Evidence(
            entries=tuple(entries),
            tries=tuple(held for held in reading.read_tries(database, dags) if held.of.run_id == self.run.run_id),
            jobs=jobs,
            kills=tuple(deployment.kills()),
            logs=tuple(logs),
        )
        findings = [str(finding) for finding in check(evidence)]
        unexpected = [finding for finding in findings if not any(words in finding for words in but)]
        assert not unexpected, "\n".join(unexpected)

    def _has_its_log(self) -> bool:
        return all(job["log_complete"] for job in self.jobs() if job["state"] == "succeeded")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/monitor/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
