from __future__ import annotations

from itertools import pairwise
from typing import get_args
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.messages import MaintenanceCause
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.events import Condition, answered, begun, happened


def condition(**fields) -> Condition:
    return Condition(
        **{
            "state": WorkerState.IDLE,
            "silent": False,
            "conditions": "",
            "version_refused": "",
            "maintenance_cause": None,
            "maintenance_comment": "",
            **fields,
        }
    )


conditions = st.builds(
    condition,
    state=st.sampled_from(WorkerState),
    silent=st.booleans(),
    conditions=st.sampled_from(["", "the disk is full (3 MiB)", "the disk is full (4 MiB)", "no runtime"]),
    version_refused=st.sampled_from(["", "too old"]),
    maintenance_cause=st.sampled_from([None, *get_args(MaintenanceCause)]),
    maintenance_comment=st.just("new disk"),
)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({}, {"state": WorkerState.RUNNING}, []),
        ({}, {"state": WorkerState.UNKNOWN}, []),
        ({}, {"silent": True}, [("out of reach", "")]),
        ({"silent": True}, {"state": WorkerState.RUNNING}, [("back", "")]),
        ({"silent": True}, {"state": WorkerState.OFFLINE}, [("offline", "it has said goodbye")]),
        ({}, {"state": WorkerState.OFFLINE}, [("offline", "it has said goodbye")]),
        ({}, {"conditions": "disk full: 3 MiB"}, [("condition", "disk full: 3 MiB")]),
        ({"conditions": "disk full: 3 MiB"}, {"conditions": "disk full: 12.5 MiB"}, []),
        ({"conditions": "disk full"}, {"conditions": "no runtime"}, [("condition", "no runtime")]),
        ({"conditions": "3"}, {}, [("condition gone", "3")]),
        ({}, {"version_refused": "too old"}, [("version refused", "too old")]),
        ({"version_refused": "too old"}, {}, []),
        (
            {},
            {"state": WorkerState.MAINTENANCE_REQUEST, "maintenance_comment": "new disk"},
            [("maintenance", "new disk")],
        ),
        ({"state": WorkerState.MAINTENANCE_REQUEST}, {"state": WorkerState.MAINTENANCE_PENDING}, []),
        ({"state": WorkerState.MAINTENANCE_MODE}, {"state": WorkerState.MAINTENANCE_EXIT}, []),
        ({"state": WorkerState.MAINTENANCE_EXIT}, {}, [("maintenance ended", "")]),
    ],
)
def test_what_has_happened_is_told_from_two_looks(before, after, found):
    assert happened(condition(**before), condition(**after)) == found


def test_who_comes_back_into_his_maintenance_has_not_left_it():
    steps = [WorkerState.MAINTENANCE_MODE, WorkerState.UNKNOWN, WorkerState.STARTING, WorkerState.MAINTENANCE_REQUEST]
    looks = [condition(state=state, maintenance_cause="site") for state in steps]
    assert [happened(*pair) for pair in pairwise(looks)] == [[], [], []]


@given(conditions)
def test_nothing_happens_where_nothing_has_changed(look):
    assert happened(look, look) == []


@given(st.lists(conditions, min_size=2, max_size=8))
def test_what_begins_and_what_ends_take_turns(looks):
    """Whoever reads the events from the first look on knows the last one."""
    kinds = [kind for pair in pairwise(looks) for kind, _ in happened(*pair)]
    turns = [kind for kind in kinds if kind in {"maintenance", "maintenance ended"}]
    assert all(one != other for one, other in pairwise(turns))
    assert kinds.count("out of reach") <= sum(look.silent for look in looks)


def test_a_new_process_is_a_restart_and_the_same_one_is_nothing():
    first, second = uuid4(), uuid4()
    assert begun(first, first, "here", offline=False) == []
    assert begun(first, second, "here", offline=False) == [("restarted", "here")]
    assert begun(first, second, "here", offline=True) == [("linked", "here")]
    assert begun(None, None, "here", offline=False) == begun(None, first, "here", offline=False) == []


def test_an_answer_to_an_order_says_what_was_wanted():
    assert answered("concurrency", "", 8, "", done=True) == ("order", "concurrency 8: done")
    assert answered("rename", "x", None, "taken", done=False) == ("order", "rename 'x': refused: taken")
