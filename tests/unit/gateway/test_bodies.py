"""How much of requests' bodies is in memory at once, and how long one may take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

import pytest
from starlette.requests import Request
from starlette.types import Message

from airflow_edge.gateway import bodies
from airflow_edge.gateway.bodies import MOST_CALLS, MOST_STRANGERS, STRANGER_BODY, Bodies
from airflow_edge.gateway.http import Pace, ProblemError
from airflow_edge.protocol.urls import SHORT_CALL

LONGEST = 1_000_000


@pytest.fixture
def mine() -> Bodies:
    return Bodies(longest=LONGEST, memory=3 * LONGEST)


def request(length: int, parts: Iterable[bytes] | None = None) -> Request:
    """A request that says it is so long; without an end where `parts` have none."""
    left = iter([bytes(length), None] if parts is None else [*parts])

    async def receive() -> Message:
        for part in left:
            return {"type": "http.request", "body": part or b"", "more_body": part is not None}
        return await asyncio.Future[Message]()

    headers = [(b"content-length", str(length).encode())]
    return Request({"type": "http", "method": "PUT", "path": "/", "headers": headers}, receive)


async def status(mine: Bodies, asked: Request, *, who: object = "greedy") -> int:
    try:
        async with mine.read(asked, who=who):
            return HTTPStatus.OK
    except ProblemError as error:
        return error.problem.status


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(mine: Bodies) -> None:
    assert await status(mine, request(LONGEST + 1, [])) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert await status(mine, request(LONGEST)) == HTTPStatus.OK


async def test_a_body_that_is_longer_than_it_says_is_refused(mine: Bodies) -> None:
    """The server in front sees to that; here nobody relies on it."""
    assert await status(mine, request(1, [b"12", b""])) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.attack(4)
async def test_who_takes_up_all_there_is_is_answered_with_503_and_short_calls_go_on(
    mine: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.01)
    async with mine.read(request(LONGEST), who="greedy"):
        assert await status(mine, request(SHORT_CALL + 1)) == HTTPStatus.SERVICE_UNAVAILABLE
        assert await status(mine, request(SHORT_CALL)) == HTTPStatus.OK
        assert await status(mine, request(LONGEST // 2), who="honest") == HTTPStatus.OK
        assert await status(mine, request(LONGEST), who="honest") == HTTPStatus.SERVICE_UNAVAILABLE
    assert await status(mine, request(LONGEST), who="honest") == HTTPStatus.OK


async def test_one_worker_has_so_many_requests_under_way_and_no_more(
    mine: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MOST_CALLS", 3)
    tasks = [asyncio.create_task(status(mine, request(10, []))) for _ in range(3)]
    await asyncio.sleep(0)
    assert await status(mine, request(10)) == HTTPStatus.TOO_MANY_REQUESTS
    assert await status(mine, request(10), who="honest") == HTTPStatus.OK
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await status(mine, request(10)) == HTTPStatus.OK
    assert MOST_CALLS > 3


@pytest.mark.attack(3, 15)
@pytest.mark.parametrize("pace", [Pace(0.01, 60), Pace(60, 0.01)], ids=["nothing more", "not all"])
async def test_a_body_that_comes_too_slowly_is_refused_and_makes_room(
    mine: Bodies, monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    monkeypatch.setattr(bodies, "LONG_PACE", pace)
    assert await status(mine, request(LONGEST, [b"1"])) == HTTPStatus.REQUEST_TIMEOUT
    async with asyncio.timeout(10):
        assert await status(mine, request(LONGEST)) == HTTPStatus.OK


@pytest.mark.attack(15)
async def test_strangers_send_little_and_are_few(mine: Bodies) -> None:
    async def stranger(asked: Request) -> int:
        try:
            async with mine.read_strangers(asked) as body:
                return len(body)
        except ProblemError as error:
            return error.problem.status

    assert await stranger(request(STRANGER_BODY + 1)) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slow = [asyncio.create_task(stranger(request(10, []))) for _ in range(MOST_STRANGERS)]
    await asyncio.sleep(0)
    assert await stranger(request(10)) == HTTPStatus.SERVICE_UNAVAILABLE
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert await stranger(request(STRANGER_BODY)) == STRANGER_BODY
