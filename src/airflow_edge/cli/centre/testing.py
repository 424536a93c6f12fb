"""`airflow edge test-worker`: has a worker run a test job, and says what becomes of it."""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from typing import Final
from uuid import UUID

from airflow.utils.platform import getuser

from airflow_edge.admin.audit import recorded
from airflow_edge.admin.config import session
from airflow_edge.admin.fleet import Fleet, UnknownWorkerError
from airflow_edge.cli.centre.common import audited, harmless, patience, say
from airflow_edge.protocol.states import JOB_OPEN, JobState
from airflow_edge.rules.acts.testing import WITHIN
from airflow_edge.rules.overview import JobView
from airflow_edge.store.store import Store

LOOK_INTERVAL: Final = 0.2
"""Seconds between two looks at the job."""
LONGEST: Final = WITHIN + timedelta(minutes=3)
"""It is cancelled before, or ended at the site, as long as anybody is there to do so."""
LOG_PATIENCE: Final = 5.0
"""Seconds for which the log of a job that has ended is waited for."""


@audited
def test_worker(args: argparse.Namespace) -> None:
    """Have a worker run a test job, and say how it ended."""
    store = Store(session)
    fleet = Fleet(store)
    try:
        with recorded("test job", by=getuser(), wish={"asked": [args.worker]}) as outcomes:
            outcome = fleet.test(fleet.named(args.worker))
            outcomes.append(outcome)
    except UnknownWorkerError as error:
        raise SystemExit(str(error)) from None
    if outcome.job_id is None:
        raise SystemExit(f"There is no test job for '{outcome.worker}': {outcome.detail}")
    say(f"Test job {outcome.job_id} for worker '{outcome.worker}'")
    if args.no_wait:
        say(f"What becomes of it: airflow edge explain-job {str(outcome.job_id)[:8]}")
        return
    job = _follow(store, fleet, outcome.job_id)
    for line in _log(fleet, job):
        print(harmless(line))
    if job.state is not JobState.SUCCEEDED:
        raise SystemExit(harmless(f"The test job did not end well ({job.state}): {job.reason}"))
    print(f"The test job of worker '{job.worker}' went there and back, and ended well.")


def _follow(store: Store, fleet: Fleet, job_id: UUID) -> JobView:
    """Tell what happens to the job until it has ended, and give it.

    :raises SystemExit: it has been deleted, or does not end.
    """
    waits, told, why = patience(), 0, ""
    deadline = time.monotonic() + LONGEST.total_seconds()
    while True:
        found = store.fleet.history_of(job_id)
        if found is None:
            raise SystemExit("The test job is not there any more: somebody has deleted it.")
        for step in found.journey[told:]:
            said = f"{step.at:%H:%M:%S} UTC {step.event} {step.text}"
            say(harmless(said.rstrip()))
        told = len(found.journey)
        if found.job.state not in JOB_OPEN:
            return found.job
        sentence = fleet.explain_test(found.job, patience=waits).sentence
        if time.monotonic() > deadline:
            raise SystemExit(harmless(f"The test job has not ended. {sentence}"))
        if found.job.state is JobState.QUEUED and sentence != why:
            why = sentence
            say(harmless(sentence))
        time.sleep(LOOK_INTERVAL)


def _log(fleet: Fleet, job: JobView) -> list[str]:
    deadline = time.monotonic() + (LOG_PATIENCE if job.started_at else 0.0)
    while not (lines := fleet.test_log(job)) and time.monotonic() < deadline:
        time.sleep(LOOK_INTERVAL)
    return lines
