"""Several of everything at once: no job is lost, none runs twice."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.waiting import wait_for

pytestmark = pytest.mark.e2e

TASKS = 120
WORKERS = 2


@pytest.fixture
def another_worker(world, tmp_path):
    """A second worker, linked to the other API server."""
    if not world.is_edge:
        yield
        return
    with world.add_site(tmp_path, "worker-2", world.airflow.urls[-1]):
        yield


@pytest.mark.usefixtures("another_worker")
def test_a_hundred_and_twenty_tasks_run_exactly_once_each(world):
    world.client.wait_for_dags(["fleet"])
    run = world.client.wait_for_run(world.trigger("fleet", count=TASKS), timeout=400, check=world.check)
    assert run.state == "success"

    worked = world.ledger("fleet").entries("work")
    assert Counter(entry["number"] for entry in worked) == dict.fromkeys(range(TASKS), 1)
    assert {entry["try_number"] for entry in worked} == {1}
    assert {task.state for task in world.client.tasks(run)} == {"success"}
    if world.is_edge:
        shares = Counter(entry["host"] for entry in worked)
        assert set(shares) == set(world.sites)
        assert min(shares.values()) > TASKS / WORKERS / 4, shares

        def states_left() -> list[str]:
            rows = world.airflow.database.rows("SELECT DISTINCT state FROM airflow_edge_job WHERE booked_at IS NULL")
            return [row["state"] for row in rows]

        wait_for(lambda: not states_left(), "every job to be booked as ended", timeout=30)
