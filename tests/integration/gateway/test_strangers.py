"""A task's calls, Airflow's own Execution API behind the gateway, and somebody on the way who answers in its place.

For every status and moment, a call ends as if nobody stood there, and what it asks for is done once.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from airflow_edge.agent.net.http import HttpClient
from airflow_edge.agent.task_api import forwarder
from airflow_edge.agent.task_api.forwarder import Forwarder, Request
from airflow_edge.protocol import urls
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.tokens import answer_mark
from airflow_edge.protocol.urls import MARK_HEADER, PREFIX
from harness.client import NO_CAS
from harness.middlebox import Interference, Message, Middlebox, Moment, answer, page, said_by_chance
from tests.integration.gateway.conftest import BASE_PATH
from tests.integration.gateway.test_execution import RUN, SUCCESS, held_job
from tests.integration.gateway.worker import at_work

pytestmark = pytest.mark.one_database

JSON = {"content-type": "application/json"}
NO_ROUTE = json.dumps({"message": "no Route matched with those values"}).encode()
SIGN_IN = page(200, "Sign in")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(forwarder, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(forwarder, "LONGEST_WAIT", 0.1)


class Caller:
    """A task's calls, by the agent's own forwarder."""

    def __init__(self, gateway: str, site, job: str) -> None:
        job_id, _, assignment = job.partition(":")
        self._key = AssignmentKey(job_id, int(assignment))
        self.client = HttpClient(gateway, site)
        self._forwarder = Forwarder(self.client)

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        sent = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, "", JSON, sent)
        response = await asyncio.wait_for(self._forwarder.forward(self._key, request, lambda: None), 60)
        return response.status, json.loads(response.body) if response.body else None


def once_each(said: Interference):
    """Interfere with each call the first time that it comes."""
    seen: set[tuple[str, str]] = set()

    def decide(request: Message) -> Interference | None:
        call = (request.method, request.path)
        if urls.EXECUTION not in request.path or call in seen:
            return None
        seen.add(call)
        return said

    return decide


@pytest.mark.parametrize("moment", Moment)
async def test_every_status_of_a_stranger_is_as_if_nobody_stood_there(centre, moment):
    """Each with one of the databases: the odd ones with one, the even ones with the other."""
    all_of_them = range(200 + (centre.engine.dialect.name == "postgresql"), 600, 2)
    async with held_job(centre) as (site, _, _, job):
        with Middlebox(centre.gateway) as box:
            caller = Caller(box.url + PREFIX, site, job)
            dice = random.Random(moment.value)
            bodies = (b"", NO_ROUTE, b"<html><title>x</title>", b'{"key": "x", "value": "not yours"}')

            async def set_and_get(status: int) -> None:
                key = f"{moment.name}-{status}"
                assert (await caller.call("PUT", f"/variables/{key}", {"val": "REAL"}))[0] == 201
                assert await caller.call("GET", f"/variables/{key}") == (200, {"key": key, "value": "REAL"})

            async with aclosing(caller.client):
                for first in range(0, len(all_of_them), 20):
                    statuses = all_of_them[first : first + 20]
                    said = {status: answer(status, dice.choice(bodies)) for status in statuses}
                    seen: set[tuple[str, str]] = set()

                    def decide(request: Message, said=said, seen=seen) -> Interference | None:
                        call = (request.method, request.path)
                        if call in seen:
                            return None
                        seen.add(call)
                        return Interference(moment, said[int(request.path.rpartition("-")[2])])

                    box.interfere(decide)
                    await asyncio.gather(*(set_and_get(status) for status in statuses))
            assert len(box.interfered) == 2 * len(all_of_them)


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize(
    "said",
    [
        SIGN_IN,
        answer(404, NO_ROUTE, Content_Type="application/json"),
        answer(204),
        page(403),
        answer(302, Location="/x"),
    ],
    ids=["page", "no route", "204", "403", "redirect"],
)
async def test_no_value_is_lost_no_default_is_given_and_a_task_ends_as_it_ended(centre, moment, said):
    """As production P1: a Variable gave its default in silence, an XCom came back as None, writes were lost."""
    async with held_job(centre) as (site, _, task_id, job):
        with Middlebox(centre.gateway) as box:
            box.interfere(once_each(Interference(moment, said)))
            caller = Caller(box.url + PREFIX, site, job)
            task, dag_id = f"/task-instances/{task_id}", centre.dag_of(task_id)
            xcom = f"/xcoms/{dag_id}/run/task/return_value"
            async with aclosing(caller.client):
                assert (await caller.call("PATCH", f"{task}/run", RUN))[0] == 200
                assert (await caller.call("GET", "/variables/nobody-knows-it"))[0] == 404
                assert (await caller.call("POST", xcom, json.dumps("from upstream")))[0] == 201
                status, value = await caller.call("GET", xcom)
                assert (status, json.loads(value["value"])) == (200, "from upstream")
                assert (await caller.call("PATCH", f"{task}/state", SUCCESS))[0] in {200, 204}
            assert centre.task_state(task_id) == "success"
            assert len(box.interfered) == 5


async def test_a_limit_on_requests_holds_calls_and_fails_none(centre):
    """As production P1, repro 4: nginx's limit_req made a task fail at its eighth XCom."""
    async with held_job(centre) as (site, _, task_id, job):
        with Middlebox(centre.gateway) as box:
            dice = random.Random(4)
            said = Interference(Moment.BEFORE, answer(429, b"slow down", Retry_After="0"))
            box.interfere(lambda request: said if dice.random() < 0.6 else None)
            caller = Caller(box.url + PREFIX, site, job)
            dag_id = centre.dag_of(task_id)
            async with aclosing(caller.client):
                for number in range(30):
                    path = f"/xcoms/{dag_id}/run/task/key-{number}"
                    assert (await caller.call("POST", path, json.dumps(number)))[0] == 201


async def test_what_a_proxy_finds_too_large_fails_alone_and_says_who_and_how_large(centre, monkeypatch):
    monkeypatch.setattr(forwarder, "TOO_LARGE_AFTER", 0.3)
    async with held_job(centre) as (site, _, _, job):
        with Middlebox(centre.gateway) as box:
            said = Interference(Moment.BEFORE, page(413, "413 Request Entity Too Large", Server="nginx"))
            box.interfere(lambda request: said if len(request.body) > 1000 else None)
            caller = Caller(box.url + PREFIX, site, job)
            async with aclosing(caller.client):
                status, body = await caller.call("PUT", "/variables/large", {"val": "x" * 2000})
                assert status == 413
                assert "nginx" in body["detail"]["message"]
                assert "2011 bytes" in body["detail"]["message"]
                assert (await caller.call("PUT", "/variables/small", {"val": "x"}))[0] == 201
            assert len(box.interfered) > 1


async def test_an_answer_that_is_cut_or_padded_on_the_way_is_none(centre):
    async with held_job(centre) as (site, _, _, job):
        assert (await site.call(centre.gateway, "PUT", "/variables/whole", job, json={"val": "x" * 1000})).is_success
        for changed in (lambda body: body[:-1], lambda body: body + b" ", lambda body: body.replace(b"x", b"y", 1)):
            with Middlebox(centre.gateway) as box:
                left = [changed]

                def once(body: bytes, left=left) -> bytes:
                    return left.pop()(body) if left else body

                caller = Caller(box.url + PREFIX, site, job)
                box.rewrite(once)
                async with aclosing(caller.client):
                    assert await caller.call("GET", "/variables/whole") == (200, {"key": "whole", "value": "x" * 1000})
                assert not left


async def test_the_answer_to_another_request_is_none(centre):
    """As of a cache that keeps what it should not."""
    async with held_job(centre) as (site, _, _, job):
        assert (await site.call(centre.gateway, "PUT", "/variables/fresh", job, json={"val": "old"})).is_success
        headers = {**site.headers("GET", f"{urls.EXECUTION}/variables/fresh", job=job), urls.JOB_HEADER: job}
        async with httpx.AsyncClient(trust_env=False, verify=NO_CAS) as client:
            kept = await client.get(f"{centre.gateway}{urls.EXECUTION}/variables/fresh", headers=headers)
        assert (await site.call(centre.gateway, "PUT", "/variables/fresh", job, json={"val": "new"})).is_success
        with Middlebox(centre.gateway) as box:
            cached = answer(
                200, kept.content, **{MARK_HEADER: kept.headers[MARK_HEADER], "Content_Type": "application/json"}
            )
            box.interfere(once_each(Interference(Moment.BEFORE, cached)))
            caller = Caller(box.url + PREFIX, site, job)
            async with aclosing(caller.client):
                assert (await caller.call("GET", "/variables/fresh"))[1]["value"] == "new"


async def test_every_endpoint_marks_its_answers(centre):
    """Whatever is asked below the gateway, well or badly, at its root or below a base URL with a path."""
    site = await centre.site("q")
    asked = [
        ("GET", urls.HEALTH),
        ("POST", urls.HEALTH),
        ("POST", urls.ENROLL),
        ("GET", urls.LINK),
        ("POST", urls.POLL),
        ("POST", urls.poll_path("0" * 32)),
        ("GET", f"{urls.EXECUTION}/variables/x"),
        ("HEAD", f"{urls.EXECUTION}/variables/x"),
        ("GET", "/v1/nothing/here"),
        ("PATCH", "/"),
        ("GET", "/v1/rpcapi"),
    ]
    async with httpx.AsyncClient(trust_env=False, verify=NO_CAS) as client:
        for base in (centre.gateway, centre.gateway.replace(PREFIX, BASE_PATH + PREFIX)):
            for method, path in asked:
                token = site.token(method, path)
                given = await client.request(method, base + path, headers={"Authorization": f"Bearer {token}"})
                mark = answer_mark(token, given.status_code, given.content)
                assert given.headers.get(MARK_HEADER) == mark, (method, base, path, given.status_code)
                assert given.headers["cache-control"] == "no-store, no-transform"


async def test_a_worker_links_though_strangers_answer_whatever_they_like(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    dice = random.Random(3)
    left = [Interference(moment, said_by_chance(dice)) for _ in range(10) for moment in Moment]
    with Middlebox(centre.gateway) as box:
        box.interfere(lambda request: left.pop() if left else None)
        async with at_work(box.url + PREFIX, site) as worker:
            jobs = [centre.queue(queue) for _ in range(5)]
            async with asyncio.timeout(120):
                while left:
                    if worker.link.state.state == "linked":
                        box.cut()
                    worker.link.hurry()
                    await asyncio.sleep(0.05)
            for job in jobs:
                await centre.wait_for_state(job.id, "succeeded", patience=120)
        ways = " ".join(box.interfered)
        assert urls.LINK in ways
        assert urls.POLL in ways


async def test_an_address_beside_the_base_url_names_the_base_url(centre):
    site = await centre.site("q")
    token = site.token("POST", "/v1/else")
    async with httpx.AsyncClient(trust_env=False, verify=NO_CAS) as client:
        given = await client.post(f"{centre.gateway}/v1/else", headers={"Authorization": f"Bearer {token}"})
    assert given.json()["code"] == "unknown_address"
