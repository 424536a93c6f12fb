"""Authority ends with its reason: what a job may call before its task has begun, and after it has ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from airflow_edge.gateway.loops import assignments
from airflow_edge.protocol import urls
from airflow_edge.protocol.messages import Accepted, Offer, Void
from airflow_edge.protocol.tokens import body_digest
from tests.integration.gateway.test_execution import RUN, SUCCESS, held_job
from tests.integration.gateway.world import GatewayServer, links_only, wait_until

pytestmark = pytest.mark.one_database

BEFORE = "its task has not begun"
AFTER = "its task has ended"


async def refused(site, centre, method, path, job, **options) -> str:
    answer = await site.call(centre.gateway, method, path, job, **options)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_yours"), answer.text
    return answer.json()["detail"]


@pytest.mark.attack(2)
@pytest.mark.parametrize("accept", [True, False])
async def test_a_job_whose_task_has_not_begun_may_only_say_that_it_does(centre, accept):
    async with held_job(centre, accept=accept, begun=False) as (site, _, task_id, job):
        for method, path in [
            ("GET", "/variables/db_password"),
            ("GET", "/connections/prod_db"),
            ("PATCH", f"/task-instances/{task_id}/state"),
            ("PUT", f"/task-instances/{task_id}/heartbeat"),
            ("GET", "/nothing/that/anybody/knows"),
        ]:
            assert BEFORE in await refused(site, centre, method, path, job, json={})
        # One that Airflow does not take changes nothing.
        wrong = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json={})
        assert wrong.status_code == 422
        assert BEFORE in await refused(site, centre, "GET", "/variables/db_password", job)
        run = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)
        assert run.status_code == 200, run.text
        assert (await site.call(centre.gateway, "GET", "/variables/db_password", job)).status_code == 404


@pytest.mark.attack(2)
async def test_after_its_last_state_a_task_may_call_until_it_has_come_to_its_end_and_then_only_repeat_it(centre):
    async with held_job(centre, begun=False) as (site, _, task_id, job):
        state = f"/task-instances/{task_id}/state"
        await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)
        assert (await site.call(centre.gateway, "PATCH", state, job, json=SUCCESS)).status_code == 204
        # Listeners, callbacks and the links of operators come now.
        assert (await site.call(centre.gateway, "GET", "/variables/db_password", job)).status_code == 404
        row = centre.job(job.partition(":")[0])
        assert row.released
        assert row.calls_until > datetime.now(UTC)
        with centre.sessions() as session:
            session.merge(row).calls_until = datetime.now(UTC) - timedelta(seconds=1)
            session.commit()
        assert AFTER in await refused(site, centre, "GET", "/variables/db_password", job)
        assert AFTER in await refused(site, centre, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)
        again = await site.call(centre.gateway, "PATCH", state, job, json=SUCCESS)
        assert again.is_success, again.text


@pytest.mark.attack(2)
async def test_the_calls_of_a_task_that_airflow_does_not_want_any_more_come_to_an_end(centre):
    async with held_job(centre) as (_, _, task_id, job):
        centre.set_task_state(task_id, "failed")
        row = await wait_until(lambda: centre.job(job.partition(":")[0]), lambda row: row.calls_until is not None)
        assert not row.released


@pytest.mark.attack(3)
async def test_a_request_that_was_begun_before_its_worker_was_revoked_is_refused(centre):
    async with held_job(centre) as (site, _, _, job):
        path, body = urls.EXECUTION + "/variables/late", b'{"value": "late"}'
        sent = {
            **site.headers("PUT", path, job=job, body=body_digest(body)),
            urls.JOB_HEADER: job,
            "Host": "centre",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Expect": "100-continue",
            "Connection": "close",
        }
        address = urlsplit(centre.gateway)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = [f"PUT {address.path}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        writer.write("\r\n".join(head).encode() + body[:5])
        # It goes on reading: the worker's token was good.
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
        centre.store.workers.revoke(site.name, now=datetime.now(UTC))
        writer.write(body[5:])
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 409 "), answer
        assert b"not_yours" in answer


@pytest.mark.attack(9)
async def test_a_worker_that_accepts_and_does_not_begin_does_not_keep_the_job(centre, monkeypatch):
    monkeypatch.setattr(assignments, "LEASES_INTERVAL", 0.05)
    queue = centre.queue_name()
    thief = centre.trusted_site(queue)
    with GatewayServer(links_only(centre.sessions, start_timeout=0.3)) as server:
        async with thief.link(server.url) as link:
            job = centre.queue(queue, workload_id=centre.task_instance(queue))
            offer = await link.get(Offer)
            await link.say(Accepted(job_id=offer.job_id, assignment=1))
            again = await link.get(Offer)
            assert (again.job_id, again.assignment) == (str(job.id), 2)
            void = await link.get(Void)
            assert (void.job_id, void.assignment) == (offer.job_id, 1)


@pytest.mark.attack(9)
async def test_slots_beyond_what_the_enrolment_allows_do_not_count(centre):
    site = centre.trusted_site(centre.queue_name())
    with GatewayServer(links_only(centre.sessions)) as server:
        async with site.link(server.url, concurrency=10_000):
            worker = centre.store.workers.get(UUID(site.worker_id))
            assert worker is not None
            assert worker.concurrency == 256
