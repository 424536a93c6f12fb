from __future__ import annotations

import asyncio
from collections.abc import Hashable
from http import HTTPStatus
from uuid import UUID

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_edge.gateway.http import ProblemError, exception_handlers, not_ready
from airflow_edge.gateway.refusals import Refusals
from airflow_edge.protocol.problems import Code

GREEDY = UUID(int=1)


class GreedyWaits(Refusals):
    """Answers to one worker wait until it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.told = asyncio.Event(), asyncio.Event()
        self.noted: list[Hashable] = []

    def note(self, who: Hashable) -> None:
        self.noted.append(who)

    async def wait(self, who: Hashable) -> None:
        if who == GREEDY:
            self.waiting.set()
            await self.told.wait()


async def refuse(request: Request) -> Response:
    if request.url.path == "/outage":
        raise not_ready("not now")
    error = ProblemError(HTTPStatus.CONFLICT, Code.NOT_YOURS, "no")
    error.worker_id = GREEDY if request.url.path == "/greedy" else None
    raise error


async def test_who_is_refused_too_often_waits_for_the_answer_and_nobody_else_does():
    refusals = GreedyWaits()
    app = Starlette(routes=[Route("/{path}", refuse)], exception_handlers=exception_handlers(refusals))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://centre") as http:
        greedy = asyncio.create_task(http.get("/greedy"))
        await refusals.waiting.wait()
        assert (await http.get("/other")).status_code == 409
        # It is not the worker's fault, and it comes again by itself.
        assert (await http.get("/outage")).status_code == 503
        assert refusals.noted == [GREEDY, None]
        assert not greedy.done()
        refusals.told.set()
        assert (await greedy).status_code == 409
