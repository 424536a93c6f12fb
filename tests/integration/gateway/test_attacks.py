"""What a stolen key opens: its own queues and its own jobs, and nothing else, until it is revoked."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from airflow_edge.protocol import tokens, urls
from airflow_edge.protocol.messages import Accepted, Ended, HeldJob, LogAck, Offer, Refused, Released, Status, Void
from airflow_edge.protocol.states import WorkerState
from harness.client import NO_CAS
from tests.integration.gateway.test_execution import RUN
from tests.integration.gateway.test_logs import chunk, end_of
from tests.integration.gateway.world import wait_until

pytestmark = pytest.mark.one_database


@pytest.fixture
async def victim(centre):
    """Worker B with a running task: its link, the offer, the task's id."""
    queue = centre.queue_name()
    site = await centre.site(queue)
    task_id = centre.task_instance(queue)
    async with site.link(centre.gateway) as link:
        centre.queue(queue, workload_id=task_id)
        offer = await link.get(Offer)
        await link.say(Accepted(job_id=offer.job_id, assignment=1))
        await link.acknowledged()
        yield site, link, offer, task_id


@pytest.fixture
async def thief(centre):
    """Worker A, whose key was stolen, with a running task of its own: site, link, its job's name and its task's id."""
    queue = centre.queue_name()
    site = await centre.site(queue)
    task_id = centre.task_instance(queue)
    async with site.link(centre.gateway) as link:
        centre.queue(queue, workload_id=task_id)
        offer = await link.get(Offer)
        await link.say(Accepted(job_id=offer.job_id, assignment=1))
        await link.acknowledged()
        yield site, link, f"{offer.job_id}:1", task_id


@pytest.mark.parametrize("report", [Accepted, Released, Refused, Ended])
async def test_it_cannot_report_on_anothers_job(centre, victim, thief, report):
    _, link, *_ = thief
    job_id = victim[2].job_id
    before = centre.job(job_id).__dict__
    fields = {"reason": "mine"} if report is Refused else {"exit_code": 0} if report is Ended else {}
    await link.say(report(job_id=job_id, assignment=1, **fields))
    await link.acknowledged()
    if report is not Refused:
        assert (await link.get(Void)).job_id == job_id
    after = centre.job(job_id).__dict__
    assert {**after, "_sa_instance_state": 0} == {**before, "_sa_instance_state": 0}


async def test_it_cannot_write_into_anothers_log(centre, victim, thief):
    _, link, *_ = thief
    offer = victim[2]
    await link.say(chunk(offer, 0, b"lies\n"), end_of(offer, b"lies\n"))
    await link.until(LogAck, lambda ack: ack.complete)
    assert centre.store.logs.parts(centre.job(offer.job_id).log_path) == []


async def test_it_cannot_claim_to_hold_anothers_job(centre, victim, thief):
    site, *_ = thief
    job_id = victim[2].job_id
    async with site.link(centre.gateway, jobs=(HeldJob(job_id=job_id, assignment=1, phase="running"),)) as link:
        assert (await link.get(Void)).job_id == job_id
    assert centre.job(job_id).worker_id == victim[0].id


async def test_it_cannot_keep_anothers_dead_task_alive(centre):
    queue = centre.queue_name()
    victim, thief = await centre.site(queue), await centre.site(centre.queue_name())
    task_id = centre.task_instance(queue, state="running")
    centre.set_task_state(task_id, "running", last_heartbeat_at=centre.long_ago)
    with centre.gateway_for_links(heartbeat_interval=1.0) as gateway:
        async with victim.link(gateway.url) as there, thief.link(gateway.url) as link:
            job = centre.queue(queue, workload_id=task_id)
            offer = await there.get(Offer)
            await there.say(Accepted(job_id=offer.job_id, assignment=1))
            for _ in range(3):
                await there.say(Status(state=WorkerState.RUNNING, alive=()))
                await link.say(Status(state=WorkerState.RUNNING, alive=(str(job.id),)))
                await centre.wait_for_heartbeat(thief.id)
            assert centre.last_heartbeat(task_id) == centre.long_ago
            await there.say(Status(state=WorkerState.RUNNING, alive=(str(job.id),)))
            await wait_until(lambda: centre.last_heartbeat(task_id), lambda last: last > centre.long_ago)


async def test_it_cannot_serve_a_queue_that_it_was_not_given(centre, victim, thief):
    site, *_ = thief
    (others_queue,) = centre.store.workers.get(victim[0].id).queues
    async with site.link(centre.gateway, queues=(others_queue, *centre.store.workers.get(site.id).queues)) as link:
        assert others_queue not in link.welcome.queues
        job = centre.queue(others_queue)
        own = centre.queue(link.welcome.queues[0])
        assert (await link.get(Offer)).job_id == str(own.id)
        assert (await victim[1].get(Offer)).job_id == str(job.id)


@pytest.mark.held("another task by its id or a detour")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/task-instances/{}/run"),
        ("PATCH", "/task-instances/{}/state"),
        ("PUT", "/task-instances/{}/heartbeat"),
        ("PUT", "/task-instances/{}/rtif"),
        ("PATCH", "/task-instances/{}/skip-downstream"),
        ("GET", "/task-instances/{}/previous-successful-dagrun"),
        ("GET", "/task-reschedules/{}/start_date"),
        ("PUT", "/store/ti/{}/key"),
        ("GET", "/store/ti/{}/key"),
        ("POST", "/hitlDetails/{}"),
        ("PATCH", "/connection-tests/{}"),
    ],
)
async def test_it_cannot_reach_another_tasks_execution_api(centre, victim, thief, method, path):
    site, _, own_job, _ = thief
    other_job, task_id = f"{victim[2].job_id}:1", victim[3]
    for name in (task_id, str(task_id).upper(), task_id.hex, f"{{{task_id}}}", f"urn:uuid:{task_id}"):
        answer = await site.call(centre.gateway, method, path.format(name), own_job, json={"state": "failed"})
        assert answer.status_code == 403, (name, answer.text)
    answer = await site.call(centre.gateway, method, path.format(task_id), other_job, json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_yours")
    assert centre.task_state(task_id) == "queued"


@pytest.mark.held("another task by its id or a detour")
async def test_no_detour_leads_to_another_task(centre, victim, thief):
    site, _, own_job, own_task = thief
    centre.store.job_authority.begin(UUID(own_job.partition(":")[0]), 1, now=datetime.now(UTC))
    body = msgspec.json.encode(RUN)
    for trick in (
        "/../task-instances/{}/run",
        "//task-instances/{}/run",
        "/task-instances//{}/run",
        "/task-instances/x/../{}/run",
        "/%2e%2e/task-instances/{}/run",
        "/variables/%2e%2e/task-instances/{}/run",
        "/task-instances%2f{}/run",
        "/%74ask-instances/{}/run",
        "/task-instances/{};a=b/run",
        "/task-instances;a=b/{}/run",
        "/task-instances/{{{}}}/run",
        "/task-instances/{}%00/run",
        "/task-instances/%00{}/run",
        "/task-instances/{}%5crun",
        "/task-instances/{}/run/",
        "/Task-Instances/{}/run",
    ):
        answer = await site.raw_call(centre.gateway, "PATCH", trick.format(victim[3]), own_job, body=body)
        assert answer.status_code in {401, 403, 404, 405, 422}, (trick, answer.text)
        assert centre.task_state(victim[3]) == "queued", trick
    own = await site.raw_call(centre.gateway, "PATCH", f"/task-instances/{own_task}/run", own_job, body=body)
    assert own.status_code == 200, own.text


@pytest.mark.held("another method by a header, two jobs in one call")
async def test_no_header_makes_another_method_or_another_job(centre, victim, thief):
    site, _, own_job, own_task = thief
    assert (await site.call(centre.gateway, "PATCH", f"/task-instances/{own_task}/run", own_job, json=RUN)).is_success
    key = f"/variables/kept-{own_task}"
    await site.call(centre.gateway, "PUT", key, own_job, json={"value": "kept"})
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        await site.call(centre.gateway, "GET", key, own_job, headers={name: "DELETE"})
        assert (await site.call(centre.gateway, "GET", key, own_job)).json()["value"] == "kept"
    other_job, body = f"{victim[2].job_id}:1", msgspec.json.encode(RUN)
    path = f"{urls.EXECUTION}/task-instances/{victim[3]}/run"
    async with httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=60) as client:
        for signed in (own_job, other_job):
            for named in ((own_job, other_job), (other_job, own_job), (f"{own_job}, {other_job}",)):
                token = site.headers("PATCH", path, job=signed, body=tokens.body_digest(body))
                jobs = [(urls.JOB_HEADER, job) for job in named]
                answer = await client.patch(centre.gateway + path, content=body, headers=[*token.items(), *jobs])
                assert answer.status_code in {400, 401, 403, 409}, (signed, named, answer.text)
    assert centre.task_state(victim[3]) == "queued"


@pytest.mark.held("a call with two lengths and another request behind it, a WebSocket elsewhere than at the link")
async def test_a_call_has_one_length_and_only_the_link_is_a_websocket(centre, thief):
    site, _, job, task_id = thief
    assert (await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)).is_success
    url, path = httpx.URL(centre.gateway), f"{urls.EXECUTION}/variables/smuggled-{task_id}"
    body = b'{"val": "x"}'

    async def answers(method: str, path: str, *lines: str, sent: bytes = b"", digest: str = "") -> list[int]:
        """The statuses of all that comes back until the connection is closed, or nothing comes any more."""
        headers = {
            **site.headers(method, path, job=job, body=digest),
            urls.JOB_HEADER: job,
            "Content-Type": "application/json",
        }
        said = [f"{method} {url.path}{path} HTTP/1.1", "Host: x", *map(": ".join, headers.items()), *lines]
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write("\r\n".join([*said, "", ""]).encode() + sent)
        found = [await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)]
        with contextlib.suppress(TimeoutError):
            found += (await asyncio.wait_for(reader.read(), 0.5)).split(b"\r\n")
        writer.close()
        return [int(line.split()[1]) for line in found if line.startswith(b"HTTP/1.1 ")]

    behind = f"GET {url.path}{urls.HEALTH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    both = ("Content-Length: 4", "Transfer-Encoding: chunked")
    twice = ("Content-Length: 4", f"Content-Length: {len(body)}")
    digest = tokens.body_digest(body)
    assert await answers("PUT", path, *both, sent=chunks + behind, digest=digest) == [400]
    assert await answers("PUT", path, *twice, sent=body + behind, digest=digest) == [400]
    assert (await site.call(centre.gateway, "GET", path.removeprefix(urls.EXECUTION), job)).status_code == 404
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    )
    for elsewhere in (path, urls.ENROLL, urls.EXECUTION):
        assert await answers("GET", elsewhere, *upgrade) == [404]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v2/dags"),
        ("GET", "/api/v2/connections"),
        ("GET", "/api/v2/variables"),
        ("POST", "/api/v2/dags/x/dagRuns"),
        ("GET", "/ui/config"),
        ("GET", "/execution/variables/x"),
    ],
)
async def test_it_cannot_call_airflows_own_apis(centre, thief, method, path):
    site, *_ = thief
    base = centre.gateway.removesuffix(urls.PREFIX)
    for token in (site.token(method, path), site.token("GET", urls.LINK)):
        for cookies in ({}, {"_token": token}):
            async with httpx.AsyncClient(
                base_url=base, trust_env=False, verify=NO_CAS, timeout=60, cookies=cookies
            ) as client:
                answer = await client.request(method, path, headers={"Authorization": f"Bearer {token}"}, json={})
                assert answer.status_code in {401, 403}, answer.text


async def test_no_answer_ever_carries_a_token_of_airflow(centre, thief):
    site, _, job, task_id = thief
    body = {"state": "running", "hostname": "h", "unixname": "u", "pid": 1, "start_date": "2026-01-01T00:00:00Z"}
    for path in (f"/task-instances/{task_id}/run", f"/task-instances/{task_id}/run"):
        answer = await site.call(centre.gateway, "PATCH", path, job, json=body)
        assert answer.status_code == 200
        assert "eyJ" not in answer.text + str(answer.headers)


async def test_a_revoked_worker_is_cut_off_within_two_seconds(centre, thief):
    site, link, job, task_id = thief
    assert centre.store.workers.revoke(site.name, now=datetime.now(UTC))
    began = time.monotonic()
    assert await link.closed() == (4403, "revoked")
    assert time.monotonic() - began < 2
    answer = await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "revoked")
    with pytest.raises(InvalidStatus) as caught:
        async with site.connection(centre.gateway):
            pass
    assert caught.value.response.status_code == 403
    assert msgspec.json.decode(caught.value.response.body)["code"] == "revoked"
    assert time.monotonic() - began < 2
    assert centre.job(job.partition(":")[0]).state == "lost"


async def test_one_that_is_removed_at_once_after_it_was_revoked_is_cut_off_too(centre, thief):
    site, link, *_ = thief
    assert centre.store.workers.revoke(site.name, now=datetime.now(UTC))
    assert centre.store.workers.remove(site.id, now=datetime.now(UTC)) == ""
    assert await link.closed(patience=60) == (4403, "revoked")


async def test_a_revoked_key_opens_no_call_within_two_seconds_even_without_a_link(centre, victim):
    site, _, offer, _ = victim
    path, job = "/variables/none", f"{offer.job_id}:1"
    centre.store.job_authority.begin(UUID(offer.job_id), 1, now=datetime.now(UTC))
    assert (await site.call(centre.gateway, "GET", path, job)).status_code == 404
    centre.store.workers.revoke(site.name, now=datetime.now(UTC))
    began = time.monotonic()
    while (await site.call(centre.gateway, "GET", path, job)).status_code not in {403, 409}:
        assert time.monotonic() - began < 2


async def test_another_key_does_not_open_a_workers_door(centre, thief, victim):
    site, *_ = thief
    site.worker_id = victim[0].worker_id
    answer = await site.call(centre.gateway, "GET", "/variables/none", f"{victim[2].job_id}:1")
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")


@pytest.mark.attack(7)
@pytest.mark.parametrize("change", ["body", "no body", "query", "job"])
async def test_attack_07_what_somebody_on_the_way_changes_is_refused(centre, other_gateway, thief, change):
    """Not even at another API server, which has not seen the token, does anything come of it."""
    site, _, job, task_id = thief
    assert (await site.call(centre.gateway, "PATCH", f"/task-instances/{task_id}/run", job, json=RUN)).is_success
    path, body = f"/variables/seventh-{change[:2]}", b'{"value": "good"}'
    signed = site.headers("PUT", urls.EXECUTION + path, job=job, body=tokens.body_digest(body))
    sent = {"body": b'{"value": "EVIL"}', "no body": b""}.get(change, body)
    query = "?description=evil" if change == "query" else ""
    named = f"{uuid4()}:1" if change == "job" else job
    headers = {**signed, urls.JOB_HEADER: named, "Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=60) as client:
        for gateway in (centre.gateway, other_gateway):
            answer = await client.put(f"{gateway}{urls.EXECUTION}{path}{query}", content=sent, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    assert (await site.call(centre.gateway, "GET", path, job)).status_code == 404
