from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_edge.protocol.states import MAINTENANCE, WorkerState
from airflow_edge.rules.acts.testing import why_no_test
from tests.unit.rules.acts.test_consequences import worker

READY = worker(name="press-7", state=WorkerState.IDLE)
REFUSED = {
    **dict.fromkeys(MAINTENANCE, "take it out first (airflow edge remote-edge-worker-exit-maintenance press-7)"),
    WorkerState.OFFLINE: "it is offline: start it at the site (airflow-edge worker)",
    WorkerState.SHUTDOWN_REQUEST: "it is shutting down",
    WorkerState.TERMINATING: "it is shutting down",
}


@pytest.mark.parametrize("state", WorkerState)
def test_who_gets_none_is_told_what_to_do_first(state: WorkerState) -> None:
    why_not = why_no_test(replace(READY, state=state))
    if state in REFUSED:
        assert REFUSED[state] in why_not
    else:
        assert why_not == ""


def test_a_revoked_one_or_one_of_a_refused_version_gets_none() -> None:
    assert "revoked" in why_no_test(replace(READY, revoked_at=READY.enrolled_at))
    assert "too old" in why_no_test(replace(READY, version_refused="too old"))
