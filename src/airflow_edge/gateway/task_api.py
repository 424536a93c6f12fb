"""Airflow's Execution API, called in this process, with tokens that are minted here and never leave it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Literal
from urllib.parse import quote
from uuid import UUID, uuid4

import attrs
import svcs
from airflow.api_fastapi.auth.tokens import JWTGenerator, get_signing_args
from airflow.api_fastapi.common.dagbag import create_dag_bag
from airflow.api_fastapi.execution_api.app import create_task_execution_api_app, lifespan
from airflow.configuration import conf
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

TokenScope = Literal["execution", "workload", "callback"]
"""For what a token is good: every call, or to say that a task begins, or (from Airflow 3.4 on) that a callback does."""


class TaskApi:
    """An Execution API of our own, apart from the one that Airflow mounts under `/execution`."""

    def __init__(self) -> None:
        self._app = create_task_execution_api_app()
        self._app.state.dag_bag = create_dag_bag()
        self._generator = JWTGenerator(
            valid_for=conf.getint("execution_api", "jwt_expiration_time"),
            audience=conf.get_mandatory_list_value("execution_api", "jwt_audience")[0],
            issuer=conf.get("api_auth", "jwt_issuer", fallback=None),
            **get_signing_args(make_secret_key_if_needed=False),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep it alive; without this every call fails.

        The first question makes it compute for seconds, before the server serves anybody. Later it would take them from
        everybody, just when all workers come back: they wait for less in all if they wait for this first.
        """
        # Airflow shares one registry among all Execution APIs of a process; the first to end would close it for all.
        async with attrs.evolve(lifespan, registry=svcs.Registry())(self._app):
            await self._ask("/health", uuid4())
            yield

    def token(self, workload_id: UUID, scope: TokenScope = "execution") -> str:
        """Mint the token of a task or a callback."""
        return str(self._generator.generate(extras={"sub": str(workload_id), "scope": scope}))

    async def call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to it; `scope` carries the token."""
        await self._app(scope, receive, send)

    async def warm_up(self) -> None:
        """Have loaded what the first real call would wait for besides, by asking for a task that does not exist."""
        workload_id = uuid4()
        status = await self._ask(f"/task-instances/{workload_id}/previous-successful-dagrun", workload_id)
        log.debug("The task API is warm (answered %d)", status)

    async def _ask(self, path: str, workload_id: UUID) -> int:
        headers = [(b"authorization", b"Bearer " + self.token(workload_id).encode())]
        return (await ask(self._app, request_scope("GET", path, b"", headers))).status_code


async def ask(application: ASGIApp, scope: Scope, body: bytes = b"") -> Response:
    """Ask an application in this process; give its whole answer, with the headers that tell what it is and which."""
    parts: list[Message] = []

    async def send(message: Message) -> None:
        parts.append(message)

    await application(scope, whole(body), send)
    start = next((part for part in parts if part["type"] == "http.response.start"), None)
    if start is None:
        return Response(status_code=HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = Headers(raw=[(name.lower(), value) for name, value in start["headers"]])
    kept = {name: headers[name] for name in ("content-type", "correlation-id") if name in headers}
    return Response(b"".join(part.get("body", b"") for part in parts), start["status"], kept)


def whole(body: bytes) -> Receive:
    """Make what gives an application a whole body at once."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def request_scope(method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]) -> Scope:
    """Make the ASGI scope of a request to the task API; `path` is below it, decoded."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
        "state": {},
    }
