"""The task's Execution API through the gateway, on Airflow's own tables."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from airflow_edge.gateway.gateway import MOST_OF_ONE
from airflow_edge.protocol import urls
from airflow_edge.protocol.messages import Accepted, Offer, Refused, Void
from tests.integration.gateway.conftest import BASE_PATH
from tests.integration.gateway.world import wait_until

RUN = {"state": "running", "hostname": "site", "unixname": "me", "pid": 1, "start_date": "2026-01-01T00:00:00Z"}
SUCCESS = {"state": "success", "end_date": "2026-01-01T00:01:00Z"}


@asynccontextmanager
async def held_job(centre, *, accept=True, begun=True, gateway=None, **fields):
    """A task that a linked site was offered, has accepted, and begun, as far as the gateway knows."""
    queue = centre.queue_name()
    site = await centre.site(queue)
    task_id = centre.task_instance(queue)
    async with site.link(gateway or centre.gateway) as link:
        centre.queue(queue, workload_id=task_id, **fields)
        offer = await link.get(Offer)
        if accept:
            await link.say(Accepted(job_id=offer.job_id, assignment=offer.assignment))
            await link.acknowledged()
            if begun:
                centre.store.job_authority.begin(UUID(offer.job_id), offer.assignment, now=datetime.now(UTC))
        yield site, link, task_id, f"{offer.job_id}:{offer.assignment}"


async def test_a_task_runs_through_its_calls(centre):
    async with held_job(centre) as (site, _, task_id, job):
        run = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)
        assert run.status_code == 200, run.text
        assert run.json()["dag_run"]["run_id"] == "run"
        assert centre.task_state(task_id) == "running"
        heartbeat = {"hostname": "site", "pid": 1}
        beat = await site.call(centre.gateway, "PUT", f"/task-instances/{task_id}/heartbeat", job, json=heartbeat)
        assert beat.status_code == 204
        done = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/state", job, json=SUCCESS)
        assert done.status_code == 204, done.text
        assert centre.task_state(task_id) == "success"


async def test_a_worker_whose_calls_take_long_keeps_no_other_waiting(centre):
    """Its calls take turns: they would have all connections that Airflow has to its database, and for half a minute."""
    if centre.engine.dialect.name == "sqlite":
        pytest.skip("whoever writes there keeps all others waiting")
    async with held_job(centre) as (greedy, _, _, job), held_job(centre) as (honest, _, _, own):
        await greedy.call(centre.gateway, "PUT", "/variables/locked", job, json={"value": "x"})
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        with centre.engine.connect() as connection, centre.engine.connect() as watch:
            connection.execute(text("SELECT 1 FROM variable WHERE key = 'locked' FOR UPDATE"))
            put = greedy.call, centre.gateway, "PUT", "/variables/locked", job
            calls = [asyncio.create_task(put[0](*put[1:], json={"value": str(number)})) for number in range(30)]
            await wait_until(lambda: watch.scalar(waiting) or 0, lambda found: found >= MOST_OF_ONE)
            got = await honest.call(centre.gateway, "GET", "/variables/none", own)
            assert got.status_code == 404, got.text
            assert watch.scalar(waiting) == MOST_OF_ONE
            assert not [call for call in calls if call.done()]
            connection.rollback()
        assert {(await call).status_code for call in calls} == {201}


async def test_the_first_call_accepts_a_leased_job(centre):
    async with held_job(centre, accept=False) as (site, _, task_id, job):
        run = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)
        assert run.status_code == 200
        assert centre.job(job.partition(":")[0]).state == "running"


async def test_headers_go_through_and_no_token_comes_back(centre):
    async with held_job(centre) as (site, _, task_id, job):
        headers = {"correlation-id": "abc-123", "Airflow-API-Version": "2025-09-23"}
        run = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN, headers=headers)
        assert run.headers["correlation-id"] == "abc-123"
        assert run.headers["content-type"] == "application/json"
        assert not {"refreshed-api-token", "authorization", "set-cookie"} & set(run.headers)


async def test_an_xcom_of_five_megabytes_goes_there_and_back(centre):
    value = json.dumps("ü" * 2_500_000, ensure_ascii=False)
    async with held_job(centre) as (site, _, task_id, job):
        dag_id = centre.dag_of(task_id)
        path = f"/xcoms/{dag_id}/run/task/return_value"
        headers = {"content-type": "application/json"}
        put = await site.call(centre.gateway, "POST", path, job, content=json.dumps(value), headers=headers)
        assert put.status_code == 201, put.text[:500]
        got = await site.call(centre.gateway, "GET", path, job)
        assert got.status_code == 200
        assert got.json()["value"] == value


async def test_keys_with_any_character_reach_airflow_whole(centre):
    async with held_job(centre) as (site, _, _, job):
        path = "/variables/a%20b%2Fc%25%C3%A4"
        put = await site.call(centre.gateway, "PUT", path, job, json={"val": "x"})
        assert put.status_code == 201, put.text
        got = await site.call(centre.gateway, "GET", path, job)
        assert got.json() == {"key": "a b/c%ä", "value": "x"}


async def test_a_query_goes_through(centre):
    async with held_job(centre) as (site, _, task_id, job):
        dag_id = centre.dag_of(task_id)
        answer = await site.call(centre.gateway, "GET", "/task-instances/count", job, params={"dag_id": dag_id})
        assert (answer.status_code, answer.json()) == (200, 1)


async def test_what_airflow_refuses_is_refused_in_its_words(centre):
    async with held_job(centre) as (site, _, task_id, job):
        answer = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json={"state": "x"})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/json"
        assert (await site.call(centre.gateway, "GET", "/variables/none", job)).json()["detail"][
            "reason"
        ] == "not_found"


async def test_a_job_handed_to_another_does_not_run_and_is_voided(centre):
    async with held_job(centre, accept=False) as (site, link, task_id, job):
        job_id, _, assignment = job.partition(":")
        await link.say(Refused(job_id=job_id, assignment=int(assignment), reason="no disk"))
        await link.acknowledged()
        run = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)
        assert run.status_code == 409
        assert run.headers["content-type"] == "application/problem+json"
        assert run.json()["code"] == "not_yours"
        void = await link.get(Void)
        assert (void.job_id, void.assignment) == (job_id, 1)
        assert centre.task_state(task_id) == "queued"


@pytest.mark.parametrize("name", ["", "x", "x:1", "00000000-0000-0000-0000-000000000000", ":", "::", "1:1:1"])
async def test_a_call_has_to_name_its_job(centre, name):
    async with held_job(centre) as (site, _, task_id, _):
        answer = await site.call(centre.gateway, "GET", f"/task-instances/{task_id}/run", name)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_a_callback_touches_no_task_instance(centre):
    async with held_job(centre, kind="callback") as (site, _, task_id, job):
        for path in (f"/task-instances/{task_id}/run", "/task-instances/count", f"/store/ti/{task_id}/key"):
            answer = await site.call(centre.gateway, "GET", path, job)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_yours")
        assert (await site.call(centre.gateway, "GET", "/variables/none", job)).status_code == 404


async def test_it_works_below_a_path(centre):
    gateway = centre.gateway.replace(urls.PREFIX, BASE_PATH + urls.PREFIX)
    async with held_job(centre, gateway=gateway) as (site, _, task_id, job):
        run = await site.call(gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)
        assert run.status_code == 200
        assert (await site.call(gateway, "PUT", "/variables/a%2Fb", job, json={"val": "x"})).status_code == 201
