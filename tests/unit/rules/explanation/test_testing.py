from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.acts.testing import WITHIN
from airflow_edge.rules.explanation.facts import Cause
from airflow_edge.rules.explanation.testing import explain_test, given_up
from airflow_edge.rules.processes import at_the_centre
from tests.unit.rules.explanation.test_explain import NOW, job, worker

TEST = job(kind="test", queue="", worker="w", queued_at=NOW)
JUST_BEFORE = NOW + WITHIN - timedelta(seconds=1)
FULL = worker(free_slots=0)


@pytest.mark.parametrize(
    ("there", "cause", "why"),
    [
        (worker(), Cause.DUE, "it has a free slot"),
        (FULL, Cause.WORKERS_FULL, "its 2 slots are taken"),
        (worker(slots=1, free_slots=0), Cause.WORKERS_FULL, "its only slot is taken"),
        (worker(state=WorkerState.UNKNOWN, free_slots=0), Cause.NO_WORKER_READY, "it is unreachable"),
        (worker(conditions="the disk is full", free_slots=0), Cause.NO_WORKER_READY, "it is unable (the disk is full)"),
        (worker(state=WorkerState.MAINTENANCE_MODE, free_slots=0), Cause.NO_WORKER_READY, "it is in maintenance"),
    ],
)
def test_while_it_waits_it_is_said_for_what_and_until_when(there, cause, why) -> None:
    said = explain_test(TEST, there)
    assert said.cause is cause
    assert said.sentence.startswith(f"It waits for worker 'w': {why}")
    assert said.sentence.endswith("Not taken by 2026-11-21 14:10:00 UTC, it is cancelled.")
    assert given_up(TEST, there, JUST_BEFORE) == ""
    assert given_up(TEST, there, NOW + WITHIN) == f"worker 'w' did not take it within 5 minutes: {why}"


def test_one_whose_worker_is_gone_for_good_waits_no_longer() -> None:
    assert given_up(TEST, None, NOW) == "its worker was removed"
    assert given_up(TEST, worker(revoked=True), NOW) == "its worker was revoked"


def test_what_it_does_is_said_too() -> None:
    running = job(kind="test", queue="", worker="w", state=JobState.RUNNING, started_at=NOW)
    assert explain_test(running, FULL).sentence == "It runs on worker 'w' since 2026-11-21 14:05:00 UTC."
    assert explain_test(running, worker(state=WorkerState.UNKNOWN)).cause is Cause.UNREACHABLE
    leased = job(kind="test", queue="", worker="w", state=JobState.LEASED, lease_until=NOW)
    assert explain_test(leased, FULL).cause is Cause.OFFERED
    assert explain_test(TEST, worker(), at_the_centre([], NOW)).cause is Cause.NO_GATEWAY
