"""Requests and answers of all endpoints; whatever goes wrong is answered with a `Problem` that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.refusals import Refusals
from airflow_edge.protocol.problems import Code, Problem, title_of

PROBLEM_TYPE: Final = "application/problem+json"
"""The content type of RFC 9457: it also tells an answer of the gateway from one of Airflow's Execution API."""


_NOT_NOW: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


class ProblemError(Exception):
    """A request that cannot be served; carries the whole answer."""

    def __init__(self, status: HTTPStatus, code: Code, detail: str, *, centre_time: float | None = None) -> None:
        super().__init__(detail)
        self.worker_id: UUID | None = None
        """Whose request it was, where that is known."""
        self.problem = Problem(
            status=status.value, code=code.value, detail=detail, title=title_of(status), centre_time=centre_time
        )


def not_ready(detail: str) -> ProblemError:
    """Make the refusal for when the centre cannot know right now; the caller tries again."""
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, Code.NOT_READY, detail)


def problem_response(problem: Problem) -> Response:
    """Make the HTTP answer; the ones for "not now" say when to try again."""
    headers = {"Retry-After": "2"} if problem.status in _NOT_NOW else {}
    if problem.status == HTTPStatus.REQUEST_TIMEOUT:
        # What may still come of the body is nothing that a next request could follow (RFC 9110, 15.5.9).
        headers["Connection"] = "close"
    return Response(msgspec.json.encode(problem), problem.status, headers, PROBLEM_TYPE)


def failure() -> Response:
    """Make the HTTP answer to what the gateway has failed at."""
    detail = "The gateway failed; the API server's log says more."
    return problem_response(ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, Code.NOT_READY, detail).problem)


def json_response(body: msgspec.Struct, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Make the HTTP answer for a document."""
    return Response(msgspec.json.encode(body), status.value, media_type="application/json")


class Pace(NamedTuple):
    """How slowly a body may come, in seconds."""

    progress: float
    """Until there is some of it, and then some more."""
    whole: float
    """Until all of it is there."""


UNHURRIED: Final = Pace(progress=10.0, whole=60.0)


async def read_body(request: Request, most: int, advice: str = "", *, pace: Pace = UNHURRIED) -> bytes:
    """Read the body.

    :param most: bytes
    :param advice: what to do instead of sending a longer one
    :raises ProblemError: it is longer (413), or comes too slowly (408).
    :raises starlette.requests.ClientDisconnect: it has no end.
    """
    parts: list[bytes] = []
    size = 0
    clock = asyncio.get_running_loop().time
    end = clock() + pace.whole
    stream = request.stream()
    try:
        while True:
            async with asyncio.timeout_at(min(clock() + pace.progress, end)):
                part = await anext(stream, None)
            if part is None:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > most:
                raise too_long(most, advice)
    except TimeoutError as error:
        raise _too_slow(pace) from error


def _too_slow(pace: Pace) -> ProblemError:
    detail = (
        f"The request's body came too slowly: some of it has to come every {pace.progress:.0f} s, and all of it within "
        f"{pace.whole:.0f} s."
    )
    return ProblemError(HTTPStatus.REQUEST_TIMEOUT, Code.TOO_SLOW, detail)


def too_long(most: int, advice: str = "") -> ProblemError:
    """Make the refusal of a body with more bytes than that."""
    what = f"The request is longer than {most // 1024} KiB"
    detail = f"{what}; {advice}." if advice else f"{what}."
    return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Code.MALFORMED, detail)


class Refusal:
    """An endpoint that says no to everything, a WebSocket upgrade included."""

    def __init__(self, status: HTTPStatus, code: Code, detail: str) -> None:
        self._problem = ProblemError(status, code, detail).problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request."""
        # A response is for one request only: what is around us (compression) changes its headers.
        await problem_response(self._problem)(scope, receive, send)


def routes(path: str, endpoint: Callable[[Request], Awaitable[Response]], method: str) -> tuple[Route, Route]:
    """Serve this method at an address, and refuse all others, also those that HTTP does not know."""
    detail = f"This address is called with {method} only."
    other = Refusal(HTTPStatus.METHOD_NOT_ALLOWED, Code.MALFORMED, detail)
    return Route(path, endpoint, methods=[method]), Route(path, other)


async def _answer_outage(_: Request, error: StoreUnavailableError) -> Response:
    return problem_response(not_ready("The centre's database does not answer; try again.").problem)


async def _answer_nobody(_: Request, error: ClientDisconnect) -> Response:
    # The server drops it.
    return Response(status_code=HTTPStatus.BAD_REQUEST.value)


async def _answer_failure(_: Request, error: Exception) -> Response:
    return failure()


ExceptionHandlers: TypeAlias = dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]


def exception_handlers(refusals: Refusals) -> ExceptionHandlers:
    """Give how errors are answered; those of a WebSocket before it is accepted likewise.

    :param refusals: says how soon
    """

    async def answer_problem(_: Request, error: ProblemError) -> Response:
        if error.problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            refusals.note(error.worker_id)
            await refusals.wait(error.worker_id)
        return problem_response(error.problem)

    return {
        ProblemError: answer_problem,
        StoreUnavailableError: _answer_outage,
        ClientDisconnect: _answer_nobody,
        Exception: _answer_failure,
    }
