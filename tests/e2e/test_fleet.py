"""Several of everything at once: no job is lost, none runs twice."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.waiting import wait_for
from tests.e2e.world import open_world

pytestmark = pytest.mark.e2e

TASKS = 300
WORKERS = 2


@pytest.fixture(scope="module")
def world(postgres, tmp_path_factory):
    with open_world(
        tmp_path_factory.mktemp("fleet"), postgres, workers=WORKERS, schedulers=2, api_servers=2, triggerer=False
    ) as world:
        yield world


def test_three_hundred_tasks_run_exactly_once_each(world):
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
