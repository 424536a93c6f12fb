"""Calls whose answers were lost, and that come again: what Airflow holds afterwards."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Table, func, insert, select, text, update

from airflow_edge.protocol.urls import PREFIX
from airflow_edge.store.tables import CallRow
from harness.middlebox import Interference, Middlebox, Moment, page
from tests.integration.gateway.test_execution import RUN, SUCCESS, held_job
from tests.integration.gateway.test_strangers import Caller, once_each
from tests.integration.gateway.world import wait_until

pytestmark = pytest.mark.one_database

DEFERRED: dict[str, Any] = {
    "state": "deferred",
    "classpath": "x.Trigger",
    "trigger_kwargs": {},
    "next_method": "resume",
    "trigger_timeout": None,
}
RESCHEDULED = {
    "state": "up_for_reschedule",
    "reschedule_date": "2026-01-01T00:05:00Z",
    "end_date": "2026-01-01T00:01:00Z",
}
RETRY = {"state": "up_for_retry", "end_date": "2026-01-01T00:01:00Z"}


class Task:
    """A running task at a site, and what it says."""

    def __init__(self, centre, site, ti_id: UUID, job: str) -> None:
        self.centre, self.site, self.ti_id, self.job = centre, site, ti_id, job

    async def call(self, method: str, path: str, json=None, **options) -> int:
        answer = await self.site.call(self.centre.gateway, method, path, self.job, json=json, **options)
        return answer.status_code

    async def says(self, what: str, json) -> int:
        return await self.call("PATCH", f"/task-instances/{self.ti_id}/{what}", json)

    @property
    def state(self) -> str | None:
        return self.centre.task_state(self.ti_id)

    def count(self, column, *conditions) -> int:
        with self.centre.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(column.class_).where(*conditions))

    def rows_in(self, *names: str) -> list[int]:
        """How many rows are this task's in the tables that Airflow keeps these things in."""
        counts = []
        with self.centre.engine.connect() as connection:
            for table in map(_table, names):
                of_task = table.c.get("task_instance_id")
                mine = (
                    of_task == self.ti_id if of_task is not None else table.c.dag_id == self.centre.dag_of(self.ti_id)
                )
                counts.append(connection.scalar(select(func.count()).select_from(table).where(mine)))
        return counts


@pytest.fixture
async def task(centre):
    async with held_job(centre) as (site, _, ti_id, job):
        running = Task(centre, site, ti_id, job)
        assert await running.says("run", RUN) == 200
        yield running


@pytest.fixture
def dag(centre, task):
    """A Dag that can be run."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    with DAG(f"triggered_{uuid4().hex[:8]}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        EmptyOperator(task_id="task")
    SerializedDAG.bulk_write_to_db("bundle", None, [dag])
    SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), "bundle")
    return dag.dag_id


async def test_a_start_is_recognised_by_airflow(task):
    assert await task.says("run", RUN) == 200
    assert await task.says("run", {**RUN, "pid": 2}) == 409
    assert task.state == "running"


async def test_an_end_is_taken_twice(task):
    end = {**SUCCESS, "state": "skipped"}
    assert await task.says("state", end) == 204
    assert await task.says("state", end) in {200, 204}
    assert task.state == "skipped"


async def test_an_end_that_somebody_else_has_decided_is_a_conflict(task):
    task.centre.set_task_state(task.ti_id, "failed")
    assert await task.says("state", SUCCESS) == 409
    assert task.state == "failed"


async def test_an_asset_event_is_not_doubled(task):
    from airflow.models.asset import AssetActive, AssetEvent, AssetModel

    name = f"asset-{uuid4().hex[:8]}"
    with task.centre.engine.begin() as connection:
        connection.execute(insert(AssetModel.__table__).values(name=name, uri=name, group="asset", extra={}))
        connection.execute(insert(AssetActive.__table__).values(name=name, uri=name))
        asset_id = connection.scalar(select(AssetModel.id).where(AssetModel.name == name))
    end = {**SUCCESS, "task_outlets": [{"name": name, "uri": name, "type": "Asset"}], "outlet_events": []}
    for _ in range(3):
        assert await task.says("state", end) in {200, 204}
    assert task.count(AssetEvent.id, AssetEvent.asset_id == asset_id) == 1


@pytest.mark.parametrize("wish", [DEFERRED, RESCHEDULED], ids=["deferred", "rescheduled"])
async def test_a_task_that_has_left_has_left_whatever_became_of_it(task, wish):
    from airflow.models.taskreschedule import TaskReschedule

    assert await task.says("state", wish) == 204
    for meanwhile in (wish["state"], "scheduled", "queued", "success", "failed"):
        task.centre.set_task_state(task.ti_id, meanwhile)
        assert await task.says("state", wish) in {200, 204}
        assert task.state == meanwhile
    assert task.count(TaskReschedule.id, TaskReschedule.ti_id == task.ti_id) == (wish is RESCHEDULED)


async def test_a_newer_run_of_the_same_task_is_not_disturbed(task):
    assert await task.says("state", DEFERRED) == 204
    task.centre.set_task_state(task.ti_id, "queued")
    task.centre.queue("elsewhere", workload_id=task.ti_id)
    task.centre.set_task_state(task.ti_id, "running", pid=4711)
    assert await task.says("state", DEFERRED) == 204
    assert await task.says("state", RESCHEDULED) == 204
    assert await task.says("state", SUCCESS) == 409
    assert await task.says("state", {**SUCCESS, "state": "failed"}) == 409
    assert task.state == "running"


async def test_a_retry_is_asked_for_once(task):
    dag_id = task.centre.dag_of(task.ti_id)
    assert await task.says("state", RETRY) == 204
    # The next try has another id: Airflow does not know this one any more.
    assert task.state is None
    assert await task.says("state", RETRY) == 204
    assert task.centre.tries(dag_id) == 2


async def test_a_callback_says_once_that_it_runs(centre):
    from airflow.models.callback import Callback
    from airflow.models.taskinstance import TaskInstance

    if not hasattr(TaskInstance, "working_set"):
        pytest.skip("callbacks say so from Airflow 3.4 on")
    async with held_job(centre, kind="callback") as (site, _, callback_id, job):
        row = {"id": callback_id, "type": "executor", "fetch_method": "import_path", "data": {}, "priority_weight": 1}
        with centre.engine.begin() as connection:
            connection.execute(insert(Callback.__table__).values(**row, state="queued"))
        for _ in range(2):
            answer = await site.call(centre.gateway, "PATCH", f"/callbacks/{callback_id}/run", job)
            assert answer.status_code == 204, answer.text
            assert "refreshed-api-token" not in answer.headers
        with centre.engine.connect() as connection:
            assert connection.scalar(select(Callback.state).where(Callback.id == callback_id)) == "running"
        other = await site.call(centre.gateway, "PATCH", f"/callbacks/{uuid4()}/run", job)
        assert (other.status_code, other.json()["code"]) == (403, "not_yours")
        # Only that call is made with a token for nothing but it.
        assert (await site.call(centre.gateway, "GET", "/variables/none", job)).status_code == 404


async def test_a_run_is_triggered_once_and_the_answer_given_twice(task, dag):
    from airflow.models.dagrun import DagRun

    run = f"/dag-runs/{dag}/run"
    for _ in range(3):
        assert await task.call("POST", run, {"conf": {"a": 1}}) == 204
    assert task.count(DagRun.id, DagRun.dag_id == dag) == 1
    # Asked differently, or by another task, it is another call.
    assert await task.call("POST", run, {"conf": {"a": 2}}) == 409
    async with held_job(task.centre) as (site, _, ti_id, job):
        assert await Task(task.centre, site, ti_id, job).call("POST", run, {"conf": {"a": 1}}) == 409


@pytest.mark.parametrize("moment", [Moment.AFTER, Moment.WITHIN])
async def test_what_was_done_before_a_stranger_answered_is_not_done_again(task, dag, moment):
    from airflow.models.dagrun import DagRun

    with Middlebox(task.centre.gateway) as box:
        box.interfere(once_each(Interference(moment, page(200, "Sign in"))))
        caller = Caller(box.url + PREFIX, task.site, task.job)
        async with aclosing(caller.client):
            assert (await caller.call("POST", f"/dag-runs/{dag}/run", {"conf": {"a": 1}}))[0] == 204
            assert (await caller.call("PATCH", f"/task-instances/{task.ti_id}/state", SUCCESS))[0] in {200, 204}
        assert len(box.interfered) == 2
    assert task.count(DagRun.id, DagRun.dag_id == dag) == 1
    assert task.state == "success"


async def test_a_run_that_was_there_before_stays_a_conflict(task, dag):
    assert await task.call("POST", f"/dag-runs/{dag}/run", {}) == 204
    for _ in range(2):
        assert await task.call("POST", f"/dag-runs/{dag}/run", {"conf": {}}) == 409


async def test_a_run_is_ours_if_the_gateway_died_before_it_noted_the_answer(task, dag):
    assert await task.call("POST", f"/dag-runs/{dag}/run", {}) == 204
    with task.centre.engine.begin() as connection:
        connection.execute(update(CallRow).where(CallRow.job_id == UUID(task.job[:36])).values(status=None))
    assert await task.call("POST", f"/dag-runs/{dag}/run", {}) == 204


async def test_what_changed_nothing_may_be_asked_again(task, dag):
    assert await task.call("POST", f"/dag-runs/{dag}/run/clear") == 404
    assert await task.call("POST", f"/dag-runs/{dag}/run", {}) == 204
    assert await task.call("POST", f"/dag-runs/{dag}/run/clear") == 204


async def test_a_run_is_cleared_once(task, dag):
    from airflow.models.taskinstance import TaskInstance

    assert await task.call("POST", f"/dag-runs/{dag}/run", {}) == 204
    assert await task.call("POST", f"/dag-runs/{dag}/run/clear") == 204
    of_the_run = TaskInstance.dag_id == dag
    with task.centre.engine.begin() as connection:
        connection.execute(update(TaskInstance).where(of_the_run).values(state="success"))
    assert await task.call("POST", f"/dag-runs/{dag}/run/clear") == 204
    assert task.count(TaskInstance.id, of_the_run, TaskInstance.state == "success") == 1


async def test_a_humans_response_outlives_the_question_that_comes_again(task):
    from airflow.models.hitl import HITLDetail

    question = {"ti_id": str(task.ti_id), "options": ["yes", "no"], "subject": "?", "multiple": False, "params": {}}
    answers = [await task.site.call(task.centre.gateway, "POST", f"/hitlDetails/{task.ti_id}", task.job, json=question)]
    assert answers[0].status_code == 201, answers[0].text
    with task.centre.engine.begin() as connection:
        connection.execute(
            update(HITLDetail)
            .where(HITLDetail.ti_id == task.ti_id)
            .values(responded_at=datetime.now(UTC), chosen_options=["yes"], params_input={})
        )
    answers.append(
        await task.site.call(task.centre.gateway, "POST", f"/hitlDetails/{task.ti_id}", task.job, json=question)
    )
    assert [answer.json() for answer in answers] == [answers[0].json()] * 2
    with task.centre.engine.connect() as connection:
        chosen = connection.scalar(select(HITLDetail.chosen_options).where(HITLDetail.ti_id == task.ti_id))
    assert chosen == ["yes"]


async def test_the_other_calls_leave_the_same_behind_however_often_they_come(task):
    dag_id = task.centre.dag_of(task.ti_id)
    for _ in range(2):
        assert await task.call("POST", f"/xcoms/{dag_id}/run/task/return_value", [1, 2]) == 201
        assert await task.call("PUT", f"/task-instances/{task.ti_id}/rtif", {"command": "true"}) == 201
        assert await task.call("PUT", f"/variables/{dag_id}", {"val": "x"}) == 201
        assert await task.says("rendered-map-index", "label") == 204
        assert await task.says("skip-downstream", {"tasks": ["other"]}) == 204
    assert task.rows_in("xcom", "rendered_task_instance_fields") == [1, 1]
    for _ in range(2):
        assert await task.call("DELETE", f"/xcoms/{dag_id}/run/task/return_value") == 200
        assert await task.call("DELETE", f"/variables/{dag_id}") == 204
    assert task.rows_in("xcom") == [0]


async def test_a_value_is_set_though_the_call_before_is_still_setting_it(task):
    from airflow.models.dagrun import DagRun

    dag_id = task.centre.dag_of(task.ti_id)
    with task.centre.engine.connect() as first:
        run_id = first.scalar(select(DagRun.id).where(DagRun.dag_id == dag_id))
        xcoms = _table("xcom")
        row = {"dag_run_id": run_id, "dag_id": dag_id, "run_id": "run", "task_id": "task", "map_index": -1}
        if "task_instance_id" in xcoms.c:
            row = {"id": uuid4(), "task_instance_id": task.ti_id}
        first.execute(insert(xcoms).values(**row, key="return_value", value=[1], timestamp=datetime.now(UTC)))
        again = asyncio.create_task(task.call("POST", f"/xcoms/{dag_id}/run/task/return_value", [1]))

        def waiting() -> int:
            with task.centre.engine.connect() as connection:
                query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%xcom%'"
                return connection.scalar(text(query)) or 0

        await wait_until(waiting, bool)
        first.commit()
    assert await again == 201
    assert task.rows_in("xcom") == [1]


def _table(name: str) -> Table:
    """A table of Airflow's that goes by the try of a task from 3.4 on, and then has another name."""
    from airflow.models.base import Base

    renamed = {"xcom": "xcom_v2", "rendered_task_instance_fields": "rtif_v2"}[name]
    tables = Base.metadata.tables
    return tables[renamed if renamed in tables else name]
