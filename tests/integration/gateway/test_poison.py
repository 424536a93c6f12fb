"""A bad value of one participant, at the gateway's doors and where it got in all the same, stops nobody else."""

from __future__ import annotations

import json
import logging
import time
from uuid import uuid4

import httpx
import pytest

from airflow_edge.protocol import urls
from airflow_edge.protocol.messages import Offer, Status
from airflow_edge.protocol.session import site_session
from airflow_edge.protocol.states import WorkerState
from airflow_edge.store.tables import WorkerRow
from harness.client import NO_CAS
from tests.integration.gateway.site import Site, SiteLink
from tests.integration.gateway.test_enrolment import proof
from tests.integration.gateway.test_execution import RUN, SUCCESS, held_job
from tests.integration.gateway.world import GatewayServer, mounted, wait_until

pytestmark = pytest.mark.one_database

NO_QUEUES = ["a\0b", "", "a\n", "\x1b[2J", "q" * 257]


@pytest.mark.parametrize("bad", NO_QUEUES)
async def test_attack_01_a_bad_queue_is_refused_at_the_link(centre, bad):
    site = await centre.site(centre.queue_name())
    session = site_session(uuid4().hex)
    async with site.connection(centre.gateway) as connection:
        link = SiteLink(connection, session)
        link.send_now(site.hello(session, queues=("plc", bad)))
        await link.flush()
        code, reason = await link.closed()
    assert (code, "queues" in reason) == (4400, True)
    assert centre.store.workers.get(site.id).link_id is None


async def test_attack_01_a_bad_value_that_got_in_all_the_same_leaves_out_that_one_only(centre, caplog):
    """What the database does not take is asked for by nobody, since no job can wait there."""
    queue, other = centre.queue_name(), centre.queue_name()
    honest, poisoned = await centre.site(queue), await centre.site(other)
    with centre.sessions() as session:
        session.get(WorkerRow, poisoned.id).queues = [other, "a\0b"]
        session.commit()
    with caplog.at_level(logging.ERROR), centre.gateway_for_links(heartbeat_interval=1.0) as gateway:
        async with poisoned.link(gateway.url) as bad, honest.link(gateway.url) as link:
            began = time.monotonic()
            job = centre.queue(queue)
            assert (await link.get(Offer)).job_id == str(job.id)
            assert time.monotonic() - began < 10
            # Its own good queue goes on, too.
            own = centre.queue(other)
            assert (await bad.get(Offer)).job_id == str(own.id)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_attack_01_what_one_says_of_its_maintenance_keeps_nobody_from_being_noted(centre):
    honest, poisoned = await centre.site(centre.queue_name()), await centre.site(centre.queue_name())
    with centre.gateway_for_links(heartbeat_interval=1.0) as gateway:
        async with honest.link(gateway.url) as link, poisoned.link(gateway.url) as bad:
            await bad.say(Status(state=WorkerState.MAINTENANCE_MODE, alive=(), comment="a\0b", cause="site"))
            await link.say(Status(state=WorkerState.IDLE, alive=(), system={"disk": "9 GiB free"}))
            await wait_until(
                lambda: centre.store.workers.get(honest.id).system.get("disk"), lambda disk: disk == "9 GiB free"
            )
            await wait_until(
                lambda: centre.store.workers.get(poisoned.id).maintenance_comment, lambda comment: comment == "a b"
            )


@pytest.mark.parametrize("bad", NO_QUEUES)
async def test_attack_01_a_bad_queue_is_refused_when_a_worker_enrols(trusting_gateway, centre, bad):
    site = Site()
    answer = await site.enroll(trusting_gateway, shared_secret_token=proof(site, bad), queues=[bad])
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert "queues" in answer.json()["detail"]
    assert centre.store.workers.named(site.name) is None


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/changelog", "/health", "/health/ping"]
)
async def test_attack_21_a_job_reaches_nothing_that_the_execution_api_says_of_itself(centre, path):
    async with held_job(centre) as (site, _, _, job):
        for asked in (path, f"{path}/"):
            answer = await site.call(centre.gateway, "GET", asked, job)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_yours"), asked


async def test_attack_22_a_state_that_is_no_json_is_refused_and_the_task_goes_on(centre):
    async with held_job(centre) as (site, _, task_id, job):
        path, headers = f"/task-instances/{task_id}/state", {"content-type": "application/json"}
        assert (await site.call(centre.gateway, "PATCH", path.replace("state", "run"), job, json=RUN)).is_success
        good = json.dumps(SUCCESS)[:-1]
        for more in (r'"x": "\ud800"', '"x": NaN', '"x": 1e999', f'"task_outlets": {[0] * 1_000_000}'):
            began = time.monotonic()
            body = f"{good}, {more}}}"
            answer = await site.call(centre.gateway, "PATCH", path, job, content=body, headers=headers)
            assert (answer.status_code, answer.json()["detail"]["reason"]) == (422, "malformed"), more[:20]
            assert time.monotonic() - began < 10
        assert centre.task_state(task_id) == "running"
        assert (await site.call(centre.gateway, "PATCH", path, job, json=SUCCESS)).status_code == 204


async def test_attack_23_strangers_read_no_exceptions_text(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH", "/secret/place/of/keys")
    with caplog.at_level(logging.ERROR), GatewayServer(mounted(), wait=False) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, verify=NO_CAS) as client:
            for answer in (await client.get(urls.HEALTH), await client.post(urls.ENROLL, json={})):
                assert answer.status_code == 503
                assert "The gateway could not start; the API server's log says more." in answer.text
                assert "secret" not in answer.text
    assert "/secret/place/of/keys" in caplog.text
