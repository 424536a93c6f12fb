from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.standing import Load, Reach, Stance, count_workers, standing
from tests.unit.rules.fleet.glances import NOW, glance, glances

AWAY = {"last_seen_at": None, "has_link": False}


@pytest.mark.parametrize(
    ("fields", "link", "stance"),
    [
        ({}, Reach.LINKED, Stance.TAKING_JOBS),
        ({"state": WorkerState.RUNNING}, Reach.LINKED, Stance.TAKING_JOBS),
        ({"state": WorkerState.STARTING}, Reach.LINKED, Stance.STARTING),
        ({"state": WorkerState.STARTING, "conditions": "no runtime"}, Reach.LINKED, Stance.HELD_BACK),
        ({"version_refused": "too old"}, Reach.LINKED, Stance.HELD_BACK),
        ({"state": WorkerState.MAINTENANCE_REQUEST}, Reach.LINKED, Stance.MAINTENANCE),
        ({"state": WorkerState.MAINTENANCE_EXIT}, Reach.LINKED, Stance.MAINTENANCE),
        ({"state": WorkerState.MAINTENANCE_MODE, "conditions": "full"}, Reach.LINKED, Stance.MAINTENANCE),
        ({"state": WorkerState.SHUTDOWN_REQUEST}, Reach.LINKED, Stance.DRAINING),
        ({"state": WorkerState.TERMINATING}, Reach.LINKED, Stance.DRAINING),
        ({"state": WorkerState.UNKNOWN}, Reach.OUT_OF_REACH, Stance.AWAY),
        ({"silent": True}, Reach.OUT_OF_REACH, Stance.AWAY),
        ({"has_link": False}, Reach.OUT_OF_REACH, Stance.AWAY),
        ({"state": WorkerState.UNKNOWN, "maintenance_cause": "site"}, Reach.OUT_OF_REACH, Stance.MAINTENANCE),
        ({"state": WorkerState.MAINTENANCE_REQUEST, "silent": True}, Reach.OUT_OF_REACH, Stance.MAINTENANCE),
        ({"state": WorkerState.OFFLINE, "has_link": False}, Reach.OFFLINE, Stance.AWAY),
        ({"state": WorkerState.OFFLINE_MAINTENANCE, "has_link": False}, Reach.OFFLINE, Stance.MAINTENANCE),
        ({"state": WorkerState.OFFLINE, **AWAY}, Reach.NEVER_LINKED, Stance.AWAY),
        ({"state": WorkerState.OFFLINE_MAINTENANCE, **AWAY}, Reach.NEVER_LINKED, Stance.MAINTENANCE),
        ({"revoked_at": NOW, "state": WorkerState.MAINTENANCE_MODE}, Reach.REVOKED, Stance.AWAY),
    ],
)
def test_link_and_stance_are_told_apart(fields, link, stance):
    worker = glance(**fields)
    assert (worker.link, worker.stance) == (link, stance)


@pytest.mark.parametrize(
    ("jobs", "taken", "load"), [(0, 0, Load.IDLE), (1, 1, Load.BUSY), (1, 4, Load.FULL), (2, 9, Load.FULL)]
)
def test_a_worker_is_full_when_no_slot_is_free(jobs, taken, load):
    worker = glance(jobs=jobs, taken_slots=taken)
    assert (worker.load, worker.free_slots) == (load, max(0, 4 - taken))


def test_one_that_takes_no_jobs_has_no_free_slots():
    for fields in ({"state": WorkerState.MAINTENANCE_MODE}, {"silent": True}, {"conditions": "full"}):
        assert glance(**fields).free_slots == 0


def test_what_is_said_of_a_worker_is_what_is_counted():
    fields = {"jobs": 2, "taken_slots": 2}
    workers = [glance(**fields, silent=True), glance(**fields, state=WorkerState.MAINTENANCE_MODE), glance()]
    counts, slots = count_workers([*workers, glance(state=WorkerState.OFFLINE, has_link=False)])
    assert (counts.busy, counts.out_of_reach, counts.well) == (2, 1, 1)
    assert (slots.taken, slots.total, slots.free) == (4, 12, 4)


@given(st.lists(glances, max_size=20))
def test_each_worker_counts_once(workers):
    counts, slots = count_workers(workers)
    parts = {name: number for name, number in asdict(counts).items() if name not in {"total", "busy", "revoked"}}
    assert counts.total == sum(parts.values()) == len(workers) - counts.revoked
    known = [worker for worker in workers if worker.revoked_at is None]
    assert counts.busy == sum(worker.load is not Load.IDLE for worker in known)
    assert 0 <= slots.free <= slots.total
    assert slots.taken == sum(worker.taken_slots for worker in workers)
    for worker in workers:
        assert worker.ready is (standing(worker) == "well")
        assert worker.ready or worker.free_slots == 0
