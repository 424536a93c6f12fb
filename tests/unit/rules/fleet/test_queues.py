from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.closing import Closure
from airflow_edge.rules.fleet.queues import QUEUE_ORDERS, choose_queues, queues, rate_window
from tests.unit.rules.fleet.glances import NOW, demand, demands, glance, glances

WORKERS = [
    glance(name="b", queues=("default", "idle"), jobs=1, taken_slots=1),
    glance(name="a", queues=("default",), state=WorkerState.MAINTENANCE_MODE),
    glance(name="c", queues=("default",)),
    glance(name="d", queues=("default",), silent=True),
    glance(name="e", queues=("gpu",), team_name="red"),
    glance(name="f", queues=("default",), revoked_at=NOW),
]


def test_what_is_wanted_of_a_queue_and_who_serves_it():
    found = {(view.team_name, view.queue): view for view in queues([demand(), demand(queue="gpu")], WORKERS)}
    assert set(found) == {(None, "default"), (None, "idle"), (None, "gpu"), ("red", "gpu")}
    default = found[None, "default"]
    assert [worker.name for worker in default.served_by] == ["c", "b", "a", "d"]
    assert (default.workers, default.ready_workers, default.free_slots, default.slots) == (4, 2, 7, 8)
    assert {why: number for why, number in default.unready.items() if number} == {"maintenance": 1, "out_of_reach": 1}
    assert (found[None, "gpu"].served_by, found[None, "gpu"].elsewhere) == ((), ("red",))
    assert (found["red", "gpu"].queued, found["red", "gpu"].elsewhere) == (0, ())


def test_a_worker_whose_owner_has_closed_a_queue_is_not_ready_for_that_one():
    shut = glance(queues=("default", "gpu"), closed={"gpu": Closure("by its owner", for_good=False)})
    default, gpu = queues([demand()], [shut, glance(queues=("gpu",), state=WorkerState.MAINTENANCE_MODE)])
    assert (default.ready_workers, default.free_slots, default.slots) == (1, 4, 4)
    assert (gpu.workers, gpu.ready_workers, gpu.free_slots, gpu.slots) == (2, 0, 0, 0)
    assert {why: number for why, number in gpu.unready.items() if number} == {"closed": 1, "maintenance": 1}


def test_rates_are_of_whole_minutes():
    since, until = rate_window(datetime(2026, 1, 1, 12, 7, 59, 999, tzinfo=UTC))
    assert (since, until) == (datetime(2026, 1, 1, 12, 2, tzinfo=UTC), datetime(2026, 1, 1, 12, 7, tzinfo=UTC))
    [view] = queues([demand(came=12, went=1)], [])
    assert (view.in_rate, view.out_rate) == (2.4, 0.2)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["default", "gpu", "gpu", "idle"]),
        ({"search": "G"}, ["gpu", "gpu"]),
        ({"search": "g?"}, []),
        ({"search": "G*u"}, ["gpu", "gpu"]),
        ({"team": "red"}, ["gpu"]),
        ({"order": "-queued"}, ["gpu", "default", "gpu", "idle"]),
        ({"order": "oldest_queued_at"}, ["default", "gpu", "gpu", "idle"]),
    ],
)
def test_queues_are_chosen_and_sorted(options, names):
    found = queues([demand(), demand(queue="gpu", queued=9)], WORKERS)
    assert [view.queue for view in choose_queues(found, **options)] == names


@given(st.lists(demands, max_size=8), st.lists(glances, max_size=8), st.sampled_from(sorted(QUEUE_ORDERS)))
def test_nobody_and_no_demand_is_left_out(some, workers, order):
    wanted = {(one.team_name, one.queue): one for one in some}
    found = choose_queues(queues(wanted.values(), workers), order=order)
    serving = {(worker.team_name, queue) for worker in workers if not worker.revoked_at for queue in worker.queues}
    assert {(view.team_name, view.queue) for view in found} == set(wanted) | serving
    assert sum(view.queued for view in found) == sum(one.queued for one in wanted.values())
    for view in found:
        assert sum(view.unready.values()) + view.ready_workers == view.workers
