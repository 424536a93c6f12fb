"""Plain functions as ASGI applications that answer whatever goes wrong with a `Problem`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.http.answers import RefusedError, not_ready, problem_response
from airflow_edge.protocol.problems import Code


class Endpoint:
    """An endpoint for some methods, which need not be methods that HTTP knows."""

    def __init__(self, handler: Callable[[Request], Awaitable[Response]], methods: Collection[str]) -> None:
        """Set it up.

        :param handler: gives the answer, or raises `RefusedError` or `StoreUnavailableError`
        """
        self._handler = handler
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            if request.method not in self._methods:
                raise RefusedError(
                    HTTPStatus.METHOD_NOT_ALLOWED,
                    Code.MALFORMED,
                    f"This is not called with {request.method}, but with {' or '.join(self._methods)}.",
                )
            return await self._handler(request)
        except RefusedError as refusal:
            return problem_response(refusal.problem)
        except StoreUnavailableError:
            return problem_response(not_ready("The centre's database does not answer; try again.").problem)


class Refusal:
    """An endpoint that says no to everything, a WebSocket upgrade included."""

    def __init__(self, status: HTTPStatus, code: Code, detail: str) -> None:
        self._problem = RefusedError(status, code, detail).problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request."""
        # A response is for one request only: what is around us (compression) changes its headers.
        await problem_response(self._problem)(scope, receive, send)
