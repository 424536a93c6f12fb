"""What people do with Airflow works on an edge worker: all Dags run at once, then one after the other is judged."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field

import pytest

from harness.client import DagRun
from harness.waiting import wait_for
from tests.e2e.world import World

pytestmark = pytest.mark.e2e

RUN_TIMEOUT = 240
"""Seconds until the last of the runs must have ended."""

TRIGGERED = [
    "operators",
    "mapping",
    "xcoms",
    "templates",
    "setup_teardown",
    "groups",
    "sensor",
    "retries",
    "callbacks",
    "deadline",
    "deferrable",
    "asset_producer",
    "loud",
    "größe_測定",
]

AT_THE_SITE = ["by_class", "by_alias", "by_path", "by_none"]
"""Tasks of the Dag `executors` that name the edge, each in its own way, or no executor."""


@dataclass
class Journey:
    """The runs of all Dags in one world."""

    world: World
    runs: dict[str, DagRun]
    deadline: float = field(default_factory=lambda: time.monotonic() + RUN_TIMEOUT)

    def end_of(self, dag_id: str) -> DagRun:
        return self.end(self.runs[dag_id])

    def end(self, run: DagRun) -> DagRun:
        left = max(1.0, self.deadline - time.monotonic())
        return self.world.client.wait_for_run(run, timeout=left, check=self.world.check)

    def succeeded(self, dag_id: str) -> DagRun:
        run = self.end_of(dag_id)
        assert run.state == "success", self.states(dag_id)
        return run

    def states(self, dag_id: str) -> dict[str, str | None]:
        return {task.task_id: task.state for task in self.world.client.tasks(self.runs[dag_id])}

    def xcom(self, dag_id: str, task_id: str, **which):
        return self.world.client.xcom(self.runs[dag_id], task_id, **which)

    def log(self, dag_id: str, task_id: str, **which) -> list[str]:
        return self.world.client.log(self.runs[dag_id], task_id, **which)


@pytest.fixture(scope="module")
def journey(world):
    client = world.client
    client.wait_for_dags([*TRIGGERED, "asset_consumer"])
    client.set_variable("city", "Würzburg")
    client.set_variable("config", json.dumps({"limits": [1, 2]}))
    client.add_connection(
        "warehouse", "postgres", host="db.internal", port=5433, login="reader", password="s3cret", extra='{"ssl": true}'
    )
    more = ["executors", "press_check"] if world.is_edge else []
    client.wait_for_dags(more)
    return Journey(world, {dag_id: world.trigger(dag_id) for dag_id in [*TRIGGERED, *more]})


def test_the_usual_operators_and_decorators(journey):
    journey.succeeded("operators")
    assert journey.xcom("operators", "bash") == "the last line of bash"
    assert journey.xcom("operators", "python") == 42
    assert journey.xcom("operators", "decorated") == "LOUD"
    assert journey.xcom("operators", "decorated_bash") == "42"
    assert any("the last line of bash" in line for line in journey.log("operators", "bash"))


def test_a_virtualenv_is_made_where_the_task_runs(journey):
    journey.end_of("operators")
    assert journey.states("operators")["virtualenv"] == "success"
    assert journey.xcom("operators", "virtualenv") is True


def test_branch_and_short_circuit_skip_what_they_should(journey):
    journey.end_of("operators")
    states = journey.states("operators")
    assert (states["branch"], states["taken"], states["not_taken"]) == ("success", "success", "skipped")
    assert (states["short_circuit"], states["cut_off"]) == ("success", "skipped")


def test_forty_mapped_tasks_each_run_with_their_own_item(journey):
    run = journey.succeeded("mapping")
    squares = [task for task in journey.world.client.tasks(run) if task.task_id == "square"]
    assert sorted(task.map_index for task in squares) == list(range(40))
    assert {task.state for task in squares} == {"success"}
    assert {task.try_number for task in squares} == {1}
    assert journey.xcom("mapping", "square", map_index=39) == 39 * 39
    assert journey.xcom("mapping", "total") == sum(n * n for n in range(40))


def test_xcoms_go_there_and_back(journey):
    journey.succeeded("xcoms")
    assert journey.xcom("xcoms", "push") == {"nested": {"pi": 3.14}}
    assert journey.xcom("xcoms", "pull") == [3.14, 2, ["a", 1, None]]


def test_an_xcom_of_five_megabytes_arrives_whole(journey):
    journey.succeeded("xcoms")
    text = "0123456789" * 500_000
    assert journey.xcom("xcoms", "digest") == f"5000000 {hashlib.sha256(text.encode()).hexdigest()}"
    assert journey.xcom("xcoms", "large") == text


def test_templates_and_params_are_rendered(journey):
    journey.succeeded("templates")
    assert journey.xcom("templates", "rendered") == "hello earth templates.rendered Würzburg db.internal"
    assert journey.xcom("templates", "arguments") == 42


def test_variables_are_read_and_written(journey):
    journey.succeeded("templates")
    assert journey.xcom("templates", "variables") == ["Würzburg", {"limits": [1, 2]}, "yes", "fallback"]
    assert journey.world.client.call("GET", "/variables/written_by_task")["value"] == "yes"


def test_a_connection_is_read_with_its_password(journey):
    journey.succeeded("templates")
    expected = ["postgres", "db.internal", 5433, "reader", len("s3cret"), {"ssl": True}]
    assert journey.xcom("templates", "connection") == expected


def test_teardown_runs_after_work_that_failed(journey):
    assert journey.end_of("setup_teardown").state == "failed"
    assert journey.states("setup_teardown") == {"make": "success", "use": "failed", "clean": "success"}
    steps = [entry["what"] for entry in journey.world.ledger("setup_teardown").entries()]
    assert steps == ["setup", "work", "teardown"]


def test_task_groups_nest_and_map(journey):
    run = journey.succeeded("groups")
    assert journey.xcom("groups", "outer.inner.second") == 20
    negated = [task for task in journey.world.client.tasks(run) if task.task_id == "each.negate"]
    assert [journey.xcom("groups", "each.negate", map_index=n) for n in range(len(negated))] == [-1, -2, -3]


def test_a_sensor_gives_its_slot_back_between_looks(journey):
    if not journey.world.is_edge:
        pytest.skip("LocalExecutor reports a look up to 5 s late, and Airflow fails a sensor that is due again by then")
    journey.succeeded("sensor")
    looks = journey.world.ledger("sensor").entries("poke")
    assert len(looks) == 3
    assert len({entry["pid"] for entry in looks}) == 3
    assert journey.xcom("sensor", "third_look") == 3


def test_a_failed_try_is_followed_by_another(journey):
    run = journey.succeeded("retries")
    assert journey.world.client.task(run, "second_try").try_number == 2
    assert journey.xcom("retries", "second_try") == 2
    assert "RuntimeError: the first try fails" in journey.log("retries", "second_try", try_number=1)


def test_a_task_that_dies_of_sigkill_is_tried_again(journey):
    run = journey.succeeded("retries")
    assert journey.world.client.task(run, "killed_once").try_number == 2
    assert journey.xcom("retries", "killed_once") == 2


def test_callbacks_of_a_task_are_called_where_it_ran(journey):
    run = journey.end_of("callbacks")
    assert run.state == "failed"
    assert journey.world.client.task(run, "never").try_number == 2
    calls = journey.world.ledger("callbacks").entries()
    assert [call["what"] for call in calls if call["task_id"] == "never"] == ["retry", "failed"]
    assert journey.world.ledger("callbacks").entries("failed")[0]["error"] == "out of order"


def test_a_callback_may_go_on_after_airflow_has_the_state(journey):
    journey.end_of("callbacks")
    assert journey.states("callbacks")["at_once"] == "success"
    journey.world.ledger("callbacks").wait_for("succeeded")


def test_the_callback_of_a_missed_deadline_is_executed(journey):
    run = journey.succeeded("deadline")
    (call,) = journey.world.ledger("deadline").wait_for("deadline missed")
    assert call["run_id"] == run.run_id

    def states():
        return [row["state"] for row in journey.world.airflow.database.rows("SELECT state FROM callback")]

    wait_for(lambda: states() == ["success"], "the callback to be booked as done", timeout=30)


def test_a_deferred_task_goes_on_at_the_worker(journey):
    run = journey.succeeded("deferrable")
    assert journey.xcom("deferrable", "wait").startswith("started here, resumed with ")
    assert journey.world.client.task(run, "wait").try_number == 1


def test_an_asset_event_starts_the_dag_that_waits_for_it(journey):
    journey.succeeded("asset_producer")
    client = journey.world.client
    (run,) = wait_for(lambda: client.dag_runs("asset_consumer"), "a run of asset_consumer", timeout=60)
    assert journey.end(run).state == "success"
    assert client.xcom(run, "consume") == [{"count": 7}]


def test_fifty_thousand_lines_arrive_each_once_and_in_order(journey):
    def lines() -> list[str]:
        return [line for line in journey.log("loud", "talk") if line.startswith("line ")]

    journey.succeeded("loud")
    written = [f"line {number:05d} of many" for number in range(50_000)]
    # The last ones may be on their way when the task has ended.
    wait_for(lambda: lines()[-1:] == written[-1:], "the last line", timeout=60)
    assert lines() == written


def test_names_and_output_may_be_non_ascii(journey):
    journey.succeeded("größe_測定")
    assert journey.xcom("größe_測定", "größe_messen") == {"größe": "3 µm", "測定": "済み"}
    assert "Länge 3 µm, 温度 21 °C, 🙂" in journey.log("größe_測定", "größe_messen")


def test_a_site_runs_tasks_whatever_executor_they_and_their_neighbours_name(journey):
    if not journey.world.is_edge:
        pytest.skip("there is one executor")
    (name,) = journey.world.sites
    journey.succeeded("executors")
    assert {journey.xcom("executors", task_id) for task_id in AT_THE_SITE} == {name}
    assert journey.xcom("executors", "near") != name
    journey.succeeded("press_check")
    assert journey.xcom("press_check", "temperature") == 21.5


def test_every_task_reports_the_worker_as_its_host(journey):
    if not journey.world.is_edge:
        pytest.skip("LocalExecutor has no workers")
    (name,) = journey.world.sites
    for dag_id in TRIGGERED:
        run = journey.end_of(dag_id)
        started = [task for task in journey.world.client.tasks(run) if task.start_date and task.hostname]
        assert started
        assert {task.hostname for task in started} == {name}, dag_id
