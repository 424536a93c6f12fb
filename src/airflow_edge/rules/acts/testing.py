"""Test jobs: who gets one, and how long it waits for its worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from airflow_edge.protocol.enrolment import ANEW
from airflow_edge.protocol.states import MAINTENANCE, WorkerState
from airflow_edge.rules.acts.consequences import Foreseen, JobsThere
from airflow_edge.rules.worker import Worker

WITHIN: Final = timedelta(minutes=5)
"""For how long it waits for its worker to take it."""

_LEAVING: Final = frozenset({WorkerState.SHUTDOWN_REQUEST, WorkerState.TERMINATING})


def why_no_test(worker: Worker) -> str:
    """Say why a worker gets no test job before somebody does something, and what; empty if it may wait for one.

    One that is out of reach, or takes no job for a reason that may pass, may be ready in a moment.
    """
    if worker.revoked_at is not None:
        return f"it is revoked; enrol its machine anew to use it again: {ANEW}"
    if worker.state in MAINTENANCE:
        return (
            "it is in maintenance and takes no job: take it out first "
            f"(airflow edge remote-edge-worker-exit-maintenance {worker.name}), then ask again"
        )
    if worker.state is WorkerState.OFFLINE:
        return "it is offline: start it at the site (airflow-edge worker), then ask again"
    if worker.state in _LEAVING:
        return "it is shutting down and takes no job: start it again at the site (airflow-edge worker), then ask again"
    if worker.version_refused:
        return f"it is refused for its version: {worker.version_refused}"
    return ""


def foresee_test(worker: Worker, _: JobsThere) -> Foreseen:
    """Say whether a worker would get a test job."""
    if why_not := why_no_test(worker):
        return Foreseen("refused", why_not)
    return Foreseen("would", "it gets a small job as soon as it has a free slot, which changes nothing there")
