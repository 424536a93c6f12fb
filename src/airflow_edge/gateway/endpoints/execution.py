"""The task's Execution API as a worker may call it: only for a job that it holds, and only what concerns that job."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_edge.gateway.access.authentication import Caller
from airflow_edge.gateway.access.jobs import check_call, scope_of
from airflow_edge.gateway.access.malformed import refusal
from airflow_edge.gateway.access.policy import Denial, who_calls
from airflow_edge.gateway.access.routes import Repeat, is_variables_listing, repeat_of
from airflow_edge.gateway.endpoints.repeats import RepeatableCall
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.http import ProblemError, not_ready
from airflow_edge.gateway.task_api import TaskApi, ask, request_scope, whole
from airflow_edge.protocol.urls import EXECUTION
from airflow_edge.room import NoRoomError
from airflow_edge.rules.policy.grants import Who
from airflow_edge.store.jobs.jobs import AssignedJob

log = logging.getLogger(__name__)

PATIENCE: Final = 30.0
"""Seconds to wait for a turn."""
PASSED_IN: Final = frozenset(
    {b"airflow-api-version", b"correlation-id", b"traceparent", b"tracestate", b"content-type"}
)
PASSED_OUT: Final = frozenset({b"content-type", b"content-length", b"content-range", b"correlation-id"})
"""Headers that go through. Above all, no token comes back: a site never sees one of Airflow's."""


class ExecutionEndpoint:
    """The ASGI application behind `/v1/execution/…`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call.

        :raises ProblemError: the worker may not make it, or not now.
        :raises StoreUnavailableError: the database failed.
        :raises ClientDisconnect: the worker has gone away.
        """
        gateway = self._gateway
        headers = Headers(scope=scope)
        path = _path(scope)
        query = scope["query_string"].decode("latin-1")
        caller = await gateway.authenticator.caller(headers, method=scope["method"], path=EXECUTION + path, query=query)
        worker_id = caller.worker.id
        try:
            if gateway.bodies.is_long(headers):
                # It is not read for who may not make this call anyway.
                async with gateway.turns.taken(1, who=worker_id, patience=PATIENCE):
                    check_call(await gateway.calling_jobs.confirm(worker_id, headers), scope["method"], path)
            async with (
                gateway.bodies.read(Request(scope, receive), who=worker_id) as body,
                gateway.turns.taken(1, who=worker_id, patience=PATIENCE),
            ):
                await caller.check_body(body)
                await self._serve(caller, path, query, headers, body, scope, send)
        except NoRoomError as error:
            raise not_ready("Other calls are under way for too long; try again.") from error
        except ProblemError as problem:
            problem.worker_id = worker_id
            raise

    async def _serve(
        self, caller: Caller, path: str, query: str, headers: Headers, body: bytes, scope: Scope, send: Send
    ) -> None:
        gateway, worker = self._gateway, caller.worker
        # However long its body took: what counts is who may call now.
        job = await gateway.calling_jobs.confirm(worker.id, headers)
        check_call(job, scope["method"], path)
        who = who_calls(job, worker)
        denied = await gateway.policy.check(who, job.workload_id, scope["method"], path, query, body)
        if denied is not None:
            gateway.denials.note(job, worker.name, denied)
            await denied.answer()(scope, whole(b""), send)
            return
        if (refused := await refusal(scope["method"], path, body)) is not None:
            await refused(scope, whole(b""), send)
            return
        if repeat_of(scope["method"], path) is Repeat.STATE:
            body, denied = await gateway.policy.withhold(who, job.workload_id, body)
            if denied is not None:
                gateway.denials.note(job, worker.name, denied)
        await self._pass_on(job, who, path, body, scope, send)

    async def _pass_on(self, job: AssignedJob, who: Who, path: str, body: bytes, scope: Scope, send: Send) -> None:
        task_api, method = self._gateway.task_api, scope["method"]
        passed = [(name, value) for name, value in scope["headers"] if name in PASSED_IN]
        if body:
            passed.append((b"content-length", str(len(body)).encode()))
        passed.append((b"authorization", b"Bearer " + task_api.token(job.workload_id, scope_of(job, path)).encode()))
        inner = request_scope(method, path, scope["query_string"], passed)
        call = _PassedCall(task_api)
        repeat = repeat_of(method, path)
        if is_variables_listing(method, path):
            answer = await self._listing(job, who, path, call, inner)
            await answer(scope, whole(b""), send)
            return
        if repeat is Repeat.HARMLESS:
            await call(inner, whole(body), send)
            return
        answer = await RepeatableCall(self._gateway, job, call, inner, body).answer(repeat)
        await answer(scope, whole(b""), send)

    async def _listing(self, job: AssignedJob, who: Who, path: str, call: ASGIApp, inner: Scope) -> Response:
        """List variables, without those that the task may not see."""

        async def ask_again(query: str) -> Response:
            return await ask(call, {**inner, "query_string": query.encode("latin-1"), "state": {}})

        query = inner["query_string"].decode("latin-1")
        found = await self._gateway.policy.listing(who, inner["method"], path, query, ask_again)
        if isinstance(found, Denial):
            self._gateway.denials.note(job, who.worker, found)
            return found.answer()
        return found


@dataclass(frozen=True, slots=True)
class _PassedCall:
    """Airflow's Execution API, of which only what concerns a site comes back."""

    task_api: TaskApi

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                kept = [(name, value) for name, value in message["headers"] if name.lower() in PASSED_OUT]
                message = {**message, "headers": kept}
            await send(message)

        try:
            await self.task_api.call(scope, receive, send_on)
        # Airflow answers with 500 and raises what happened on top of that, for the server's log.
        except Exception:
            if not started:
                raise
            log.exception("A call of the Execution API failed: %s %r", scope["method"], scope["path"])


def _path(scope: Scope) -> str:
    """Give the path below the endpoint, decoded: all of it, and not only what a pattern for routes matches."""
    _, _, path = scope["path"].removeprefix(scope.get("root_path", "")).partition(EXECUTION)
    return str(path)
