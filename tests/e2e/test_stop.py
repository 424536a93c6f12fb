"""The centre's will is obeyed at the site within seconds; by plain Python code, too, once its grace is over."""

from __future__ import annotations

import time

import psutil
import pytest

from harness.airflow import EDGE_EXECUTOR
from harness.waiting import wait_for
from tests.e2e.world import EXECUTOR

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("world", ["postgresql"], indirect=True)]

WITHIN = 8.0 if EXECUTOR == EDGE_EXECUTOR else 15.0
"""Seconds from the click to the last sign of life; 5 of them are the grace. Without a push from the centre it takes a
heartbeat as well."""

SILENCE = 2.0
"""Seconds without a sign of life, of which there are ten each second, after which a task is taken for dead."""


@pytest.fixture
def started(world, request):
    """A function that starts a run of a Dag and returns it with its ledger, once its task has shown a sign of life."""

    def start(dag_id: str, sign: str):
        world.check()
        world.client.wait_for_dags([dag_id])
        name = request.node.name
        run = world.trigger(dag_id, name=name)
        world.ledger(name).wait_for(sign)
        return run, world.ledger(name)

    return start


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_plain_loop_stops_when_it_is_marked(world, started, state):
    run, ledger = started("loop", "beat of try 1")
    clicked = time.time()
    world.client.mark(run, "beat", state)
    last = ledger.wait_for_silence("beat of try 1", seconds=SILENCE, timeout=30)
    assert last - clicked < WITHIN
    assert world.client.wait_for_run(run).state == state
    assert world.client.task(run, "beat").state == state


def test_a_plain_loop_stops_when_it_is_cleared_and_starts_again(world, started):
    run, ledger = started("loop", "beat of try 1")
    clicked = time.time()
    world.client.clear(run, ["beat"])
    last = ledger.wait_for_silence("beat of try 1", seconds=SILENCE, timeout=30)
    assert last - clicked < WITHIN
    ledger.wait_for("beat of try 2")
    assert world.client.task(run, "beat").try_number == 2
    world.client.mark(run, "beat", "success")
    ledger.wait_for_silence("beat of try 2", seconds=SILENCE, timeout=30)


def test_an_operator_cleans_up_when_it_is_stopped(world, started):
    run, ledger = started("careful", "started")
    clicked = time.time()
    world.client.mark(run, "operate", "failed")
    (cleaned_up,) = ledger.wait_for("on_kill")
    assert cleaned_up["time"] - clicked < WITHIN
    wait_for(lambda: not psutil.pid_exists(cleaned_up["program"]), "the operator's own program to be gone", timeout=10)


def test_a_task_that_takes_too_long_fails_and_is_tried_again(world, started):
    run, ledger = started("too_long", "beat of try 1")
    assert world.client.wait_for_run(run).state == "failed"
    assert world.client.task(run, "beat").try_number == 2
    for number in (1, 2):
        beats = [entry["time"] for entry in ledger.entries(f"beat of try {number}")]
        assert 1.0 < beats[-1] - beats[0] < 3.0
    assert any("AirflowTaskTimeout" in line for line in world.client.log(run, "beat", try_number=1))
