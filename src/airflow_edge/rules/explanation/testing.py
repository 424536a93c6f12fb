"""Why a test job has not begun, or what it does: it waits for one worker, whatever that serves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from airflow_edge.protocol.messages import one_line
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.acts.testing import WITHIN
from airflow_edge.rules.explanation.ended import clock, no_gateway
from airflow_edge.rules.explanation.explain import why_not_given
from airflow_edge.rules.explanation.facts import Cause, Explanation, WorkerFacts
from airflow_edge.rules.overview import JobView
from airflow_edge.rules.processes import CentreFacts

MOST_LINES: Final = 20
LONGEST: Final = 500
"""Characters of a line."""
_HOPE: Final = {
    Cause.WORKERS_FULL: ", and it gets the next free one",
    Cause.DUE: ", and is handed the job at any moment",
}


def explain_test(job: JobView, worker: WorkerFacts | None, centre: CentreFacts | None = None) -> Explanation:
    """Say why a test job that has not ended does not run, or what it does.

    :param worker: the one that it is for; None if it was removed
    :param centre: what runs at the centre; None if that is not known
    """
    if centre is not None and not centre.gateways:
        return no_gateway(job, centre)
    if job.state is JobState.RUNNING and worker is not None and worker.state is WorkerState.UNKNOWN:
        return Explanation(
            Cause.UNREACHABLE,
            f"It runs on worker '{job.worker}', which is unreachable since {clock(worker.seen_at)}.",
        )
    if job.state is JobState.RUNNING:
        return Explanation(Cause.RUNNING, f"It runs on worker '{job.worker}' since {clock(job.started_at)}.")
    if job.state is JobState.LEASED:
        return Explanation(
            Cause.OFFERED,
            f"It was just handed to worker '{job.worker}', which has until {clock(job.lease_until)} to answer.",
        )
    cause, why = _hindrance(job, worker)
    why += _HOPE.get(cause, "")
    until = clock(job.queued_at + WITHIN)
    return Explanation(cause, f"It waits for worker '{job.worker}': {why}. Not taken by {until}, it is cancelled.")


def given_up(job: JobView, worker: WorkerFacts | None, now: datetime) -> str:
    """Say why a test job that waits for its worker waits no longer; empty if it does.

    :param worker: None if it was removed
    """
    if worker is None:
        return "its worker was removed"
    if worker.revoked:
        return "its worker was revoked"
    if now - job.queued_at < WITHIN:
        return ""
    return f"worker '{job.worker}' did not take it within {WITHIN.seconds // 60} minutes: {_hindrance(job, worker)[1]}"


def log_tail(lines: Iterable[bytes]) -> list[str]:
    """Give the last lines of a test job's log as a person reads them; Airflow has each as a JSON object."""
    told = []
    for line in lines:
        if not line.strip():
            continue
        try:
            said = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            said = line.decode(errors="replace")
        told += _line(said)
    return told[-MOST_LINES:]


def _line(said: object) -> list[str]:
    """Give a line of a log, and the exception that it tells of."""
    if not isinstance(said, dict):
        return [one_line(str(said), LONGEST)]
    chain = said.get("error_detail")
    raised = [f"{one.get('exc_type')}: {one.get('exc_value')}" for one in chain or () if isinstance(one, dict)]
    level = str(said.get("level", "")).upper()
    said_at = str(said.get("timestamp", ""))[11:19]
    return [one_line(f"{said_at} {level} {text}", LONGEST) for text in [said.get("event", ""), *raised]]


def _hindrance(job: JobView, worker: WorkerFacts | None) -> tuple[Cause, str]:
    if worker is None:
        return Cause.NO_WORKERS, "it was removed"
    if worker.revoked:
        return Cause.NO_WORKER_READY, "it is revoked"
    if why := why_not_given(worker, job):
        return Cause.NO_WORKER_READY, f"it is {why}"
    if worker.free_slots < job.slots:
        slots = "its only slot is" if worker.slots == 1 else f"its {worker.slots} slots are"
        return Cause.WORKERS_FULL, f"{slots} taken"
    back = ", and gave the job back or did not answer" if job.assignment else ""
    return Cause.DUE, f"it has a free slot{back}"
