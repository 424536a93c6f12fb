"""What the core hears of a supervisor's calls. What the supervisor hears is seen over real sockets elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from airflow_edge.agent.core.events import Event, Seen, StateCallBegan, StateCallEnded
from airflow_edge.agent.errors import UnreachableError
from airflow_edge.agent.net.http import HttpClient, Response
from airflow_edge.agent.task_api.execution_api import ExecutionApi
from airflow_edge.agent.task_api.forwarder import Forwarder, Request
from airflow_edge.protocol.assignment import AssignmentKey

KEY = AssignmentKey("00000000-0000-4000-8000-000000000001", 1)
STATE = "/task-instances/1/state"


class Http(HttpClient):
    """Gives one answer to every call, or is away."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.tried = asyncio.Event()

    async def request(self, method: str, path: str, **_: object) -> Response:
        self.tried.set()
        if self.status is None:
            raise UnreachableError("away")
        return Response(self.status, {}, b"")


class Site:
    def __init__(self, status: int | None) -> None:
        self.events: list[Event] = []
        self.http = Http(status)
        self.api = ExecutionApi(Forwarder(self.http), self.events.append)
        self.api.admit("secret", KEY)

    async def call(self, method: str, path: str, secret: str = "secret") -> int:
        request = Request(method, path, "", {"authorization": f"Bearer {secret}"}, b'{"state": "success"}')
        return (await self.api(request)).status


@pytest.mark.parametrize(("status", "passed"), [(200, True), (204, True), (409, False), (500, False)])
async def test_the_core_hears_whether_a_state_has_passed(status: int, passed: bool) -> None:
    site = Site(status)
    assert await site.call("PATCH", STATE) == status
    told = [event for event in site.events if not isinstance(event, Seen)]
    assert told == [StateCallBegan(KEY), StateCallEnded(KEY, passed)]


async def test_a_state_whose_sender_is_gone_has_not_passed() -> None:
    site = Site(None)
    call = asyncio.create_task(site.call("PATCH", STATE))
    async with asyncio.timeout(5):
        await site.http.tried.wait()
    assert site.events[0] == StateCallBegan(KEY)
    call.cancel()
    await asyncio.wait({call})
    assert site.events[-1] == StateCallEnded(KEY, passed=False)


@pytest.mark.parametrize(("method", "path"), [("GET", STATE), ("PATCH", "/task-instances/1/run"), ("PUT", "/x/state")])
async def test_other_calls_are_signs_of_life_only(method: str, path: str) -> None:
    site = Site(200)
    assert await site.call(method, path) == 200
    assert set(site.events) == {Seen(KEY)}


async def test_a_heartbeat_is_answered_without_the_centre() -> None:
    site = Site(None)
    assert await site.call("PUT", "/task-instances/1/heartbeat") == 204
    assert site.events == [Seen(KEY)]


async def test_nobody_is_heard_without_a_jobs_secret() -> None:
    site = Site(200)
    site.api.close(KEY)
    assert await site.call("PATCH", STATE) == 401
    assert await site.call("PUT", "/task-instances/1/heartbeat") == 410
    assert await site.call("PATCH", STATE, secret="other") == 401
    assert site.events == []
