from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.messages import OrderKind
from airflow_edge.protocol.states import REQUESTS, WorkerState
from airflow_edge.rules.orders import AlreadySoError, effect

GOING = (WorkerState.SHUTDOWN_REQUEST, WorkerState.TERMINATING)
GONE = (WorkerState.OFFLINE, WorkerState.OFFLINE_MAINTENANCE)


@pytest.mark.parametrize("state", WorkerState)
def test_only_a_worker_that_is_to_stay_is_restarted(state):
    if state in {*GOING, *GONE}:
        with pytest.raises(IllegalTransitionError, match=r"shutting down|offline"):
            effect(state, "restart", revoked=False)
    else:
        assert effect(state, "restart", revoked=False) == (state, None)


@pytest.mark.parametrize(("state", "kind"), list(product(WorkerState, get_args(OrderKind))))
def test_every_order_in_every_state_is_obeyed_is_so_already_or_is_refused_in_plain_words(state, kind):
    with pytest.raises(IllegalTransitionError, match="revoked"):
        effect(state, kind, revoked=True)
    try:
        after, asked = effect(state, kind, revoked=False)
    except AlreadySoError:
        return
    except IllegalTransitionError as refusal:
        said = str(refusal)
        assert "possible" not in said
        assert said.startswith("it is ")
        return
    if asked is None:
        return
    assert asked in REQUESTS
    # And once it has been asked, it is so already, wherever that shows in its state.
    if after in REQUESTS:
        with pytest.raises(AlreadySoError):
            effect(after, kind, revoked=False)
