"""The policy stands between a task's calls and Airflow's own tables."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from tests.integration.gateway.test_execution import RUN, SUCCESS, held_job

pytestmark = pytest.mark.one_database

POLICY = """
modes: {{'{queue}': enforce}}
rules:
- may: {{connections: [granted_*], variables: [granted_*], set_assets: [granted_*]}}
"""


def add_asset(engine, prefix="others"):
    from airflow.models.asset import AssetActive, AssetModel

    name = f"{prefix}_{uuid4().hex[:8]}"
    with engine.begin() as connection:
        connection.execute(insert(AssetModel.__table__).values(name=name, uri=name, group="asset", extra={}))
        connection.execute(insert(AssetActive.__table__).values(name=name, uri=name))
    return name


def changed_assets(engine, *names):
    from airflow.models.asset import AssetEvent, AssetModel

    found = select(AssetModel.name).join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
    with engine.connect() as connection:
        return set(connection.scalars(found.where(AssetModel.name.in_(names))))


async def first_denied(call):
    """Ask until the gateway has looked for the policy."""
    async with asyncio.timeout(30):
        while True:
            answer = await call("GET", "/connections/other")
            if answer.status_code == 403:
                return answer
            await asyncio.sleep(0.2)


async def test_what_no_rule_grants_is_denied_before_airflow_is_asked(centre):
    async with held_job(centre) as (site, _, task_id, job):

        async def call(method, path, **options):
            return await site.call(centre.gateway, method, path, job, **options)

        assert (await call("GET", "/connections/other")).status_code == 404
        for key in ("granted_key", "other_key"):
            assert (await call("PUT", f"/variables/{key}", json={"val": "x"})).status_code == 201
        queue = centre.job(job.partition(":")[0]).queue
        centre.store.policies.add(POLICY.format(queue=queue), "", by="ann", now=datetime.now(UTC))
        denied = await first_denied(call)
        said = denied.json()["detail"]
        assert said["reason"] == "edge_policy"
        assert f"on queue {queue} may not read connection 'other'" in said["message"]
        listed = await call("GET", "/variables/keys")
        if listed.status_code == 200:
            assert [key for key in listed.json()["keys"] if key.endswith("_key")] == ["granted_key"]
        else:
            # Airflow 3.2 has no such route: there it is a variable's name, whose value nobody may take for a listing.
            assert listed.status_code in {403, 404}
        # Airflow itself does not know this one.
        assert (await call("GET", "/connections/granted_1")).status_code == 404
        assert (await call("PUT", "/variables/granted_1", json={"val": "x"})).status_code == 403
        assert (await call("GET", "/a/route/of/tomorrow")).status_code == 403
        beat = await call("PUT", f"/task-instances/{task_id}/heartbeat", json={"hostname": "site", "pid": 1})
        assert beat.status_code != 403


@pytest.mark.attack(24, 26)
async def test_a_call_is_about_what_airflow_makes_of_it_and_a_state_names_nothing_that_is_not_granted(centre):
    """A task clears its own run as if that were itself; hands a function to the triggerer; starts others' Dags."""
    async with held_job(centre) as (site, _, task_id, job):

        async def call(method, path, **options):
            return await site.call(centre.gateway, method, path, job, **options)

        state, row = f"/task-instances/{task_id}/state", centre.job(job.partition(":")[0])
        queue, run = row.queue, f"/dag-runs/{row.dag_id}/{row.run_id}"
        centre.store.policies.add(POLICY.format(queue=queue), "", by="ann", now=datetime.now(UTC))
        await first_denied(call)
        assert (await call("PATCH", f"/task-instances/{task_id}/run", json=RUN)).status_code == 200
        deferral = {"state": "deferred", "classpath": "os.system", "next_method": "execute"}
        own = {"dag_id": row.dag_id, "run_ids": row.run_id, "task_ids": row.task_id}
        said = {"dag_id": row.dag_id, "run_id": row.run_id, "task_id": row.task_id}
        for denied in (
            await call("POST", f"{run}/clear", params=said),
            await call("GET", "/task-instances/count", params=said),
            await call("GET", "/task-instances/states", params={**own, "task_group_id": "g"}),
            await call("PATCH", state, json={**deferral, "trigger_kwargs": {"command": "id"}}),
        ):
            assert (denied.status_code, denied.json()["detail"]["reason"]) == (403, "edge_policy"), denied.text
        assert centre.task_state(task_id) == "running"
        counted = await call("GET", "/task-instances/count", params=own)
        assert counted.status_code == 200
        # What it has come to is told all the same.
        others, own_asset = add_asset(centre.engine), add_asset(centre.engine, "granted_asset")
        outlets = [{"name": name, "uri": name, "type": "Asset"} for name in (others, own_asset)]
        assert (await call("PATCH", state, json={**SUCCESS, "task_outlets": outlets})).status_code == 204
        assert centre.task_state(task_id) == "success"
        assert changed_assets(centre.engine, others, own_asset) == {own_asset}
