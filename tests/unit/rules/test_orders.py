from __future__ import annotations

import pytest

from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.orders import effect

GOING = (WorkerState.SHUTDOWN_REQUEST, WorkerState.TERMINATING)
GONE = (WorkerState.OFFLINE, WorkerState.OFFLINE_MAINTENANCE)


@pytest.mark.parametrize("state", WorkerState)
def test_only_a_worker_that_is_to_stay_is_restarted(state):
    if state in {*GOING, *GONE}:
        with pytest.raises(IllegalTransitionError, match=f"'restart'.*'{state}'"):
            effect(state, "restart", revoked=False)
    else:
        assert effect(state, "restart", revoked=False) == (state, None)
