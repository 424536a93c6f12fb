"""The task's Execution API as a worker may call it: only for a job that it holds, and only what concerns that job."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from airflow_edge.gateway.access.routes import Repeat, repeat_of
from airflow_edge.gateway.endpoints.repeats import RepeatableCall
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.http import ProblemError, read_body, too_long
from airflow_edge.gateway.task_api import TaskApi, TokenScope, request_scope
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Assignment, JobId, JobKind
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.urls import EXECUTION, JOB_HEADER, LONGEST_CALL, SHORT_CALL
from airflow_edge.room import Room
from airflow_edge.rules.worker import Worker
from airflow_edge.store.jobs.jobs import AssignedJob

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = LONGEST_CALL
"""A longer request is refused: it would have to be kept in the API server's memory."""
ADVICE: Final = "keep large values in a store of their own, for example with an XCom backend"

PASSED_IN: Final = frozenset(
    {b"airflow-api-version", b"correlation-id", b"traceparent", b"tracestate", b"content-type", b"content-length"}
)
PASSED_OUT: Final = frozenset({b"content-type", b"content-length", b"content-range", b"correlation-id"})
"""Headers that go through. Above all, no token comes back: a site never sees one of Airflow's."""

BY_WORKLOAD: Final[dict[tuple[str, ...], JobKind]] = {
    ("task-instances",): "task",
    ("task-reschedules",): "task",
    ("hitlDetails",): "task",
    ("connection-tests",): "task",
    ("store", "ti"): "task",
    ("callbacks",): "callback",
}
"""Folders of the Execution API below which the next part of a path is the id that the call is about, and of what."""


class _JobName(msgspec.Struct):
    job_id: JobId
    assignment: Assignment


class ExecutionEndpoint:
    """The ASGI application behind `/v1/execution/…`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._rooms: dict[UUID, Room] = {}
        """For the bodies of each worker's calls together."""

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
        job = await _confirm(gateway, caller.worker, headers)
        _check_path(job, scope["method"], path)
        async with self._room(caller.worker, _check_length(headers)):
            body = await read_body(Request(scope, receive), MAX_BODY_BYTES, ADVICE)
            await caller.check_body(body)
            await self._pass_on(job, path, body, scope, receive, send)

    async def _pass_on(
        self, job: AssignedJob, path: str, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        gateway, task_api = self._gateway, self._gateway.task_api
        passed = [(name, value) for name, value in scope["headers"] if name in PASSED_IN]
        passed.append((b"authorization", b"Bearer " + task_api.token(job.workload_id, _scope(path)).encode()))
        inner = request_scope(scope["method"], path, scope["query_string"], passed)
        repeat = repeat_of(scope["method"], path)
        if repeat in {Repeat.HARMLESS, Repeat.RECOGNISED}:
            await _call(task_api, inner, _read_already(body, receive), send)
            return
        call = RepeatableCall(gateway, job, partial(_call, task_api), inner, body)
        answer = await call.answer(repeat)
        await answer(scope, receive, send)

    @asynccontextmanager
    async def _room(self, worker: Worker, length: int) -> AsyncIterator[None]:
        """Wait for room in memory; a body is not read before. Nobody waits for another worker's."""
        if length <= SHORT_CALL:
            yield
            return
        room = self._rooms.setdefault(worker.id, Room(MAX_BODY_BYTES))
        try:
            async with room.taken(length):
                yield
        finally:
            if room.is_empty:
                self._rooms.pop(worker.id, None)


async def _call(task_api: TaskApi, scope: Scope, receive: Receive, send: Send) -> None:
    started = False

    async def send_on(message: Message) -> None:
        nonlocal started
        if message["type"] == "http.response.start":
            started = True
            kept = [(name, value) for name, value in message["headers"] if name.lower() in PASSED_OUT]
            message = {**message, "headers": kept}
        await send(message)

    try:
        await task_api.call(scope, receive, send_on)
    # Airflow answers with 500 and raises what happened on top of that, for the server's log.
    except Exception:
        if not started:
            raise
        log.exception("A call of the Execution API failed: %s %s", scope["method"], scope["path"])


async def _confirm(gateway: Gateway, worker: Worker, headers: Headers) -> AssignedJob:
    """Give the job that the call is made for.

    :raises ProblemError: it is not named, or not this worker's under this assignment.
    """
    name = _job_name(headers)
    job = await gateway.calls.run(
        gateway.store.jobs.confirm, worker.id, UUID(name.job_id), name.assignment, now=datetime.now(UTC)
    )
    if job is None:
        reason = "the job was given to another worker, or has ended at the centre"
        if link := gateway.links.get(worker.id):
            link.void_job(AssignmentKey(name.job_id, name.assignment), reason)
        raise ProblemError(
            HTTPStatus.CONFLICT,
            Code.NOT_YOURS,
            f"Worker '{worker.name}' does not hold job {name.job_id} under assignment {name.assignment}: {reason}.",
        )
    return job


def _job_name(headers: Headers) -> _JobName:
    job_id, _, assignment = headers.get(JOB_HEADER, "").partition(":")
    try:
        return msgspec.convert({"job_id": job_id, "assignment": assignment}, _JobName, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            Code.MALFORMED,
            f"The header {JOB_HEADER} has to name the job that the call is made for: <job id>:<assignment>.",
        ) from error


def _scope(path: str) -> TokenScope:
    return "callback" if path.startswith("/callbacks/") else "execution"


def _check_path(job: AssignedJob, method: str, path: str) -> None:
    """Refuse what concerns another task, and everything to a test job, which has none.

    Airflow itself compares some of these ids with the token; which XComs, variables and connections a task may reach is
    left to it entirely.
    """
    if job.kind == "test":
        raise ProblemError(
            HTTPStatus.FORBIDDEN, Code.NOT_YOURS, f"Job {job.id} is a test job: it has no task, and calls nothing."
        )
    parts = path.split("/")[1:]
    for folder, kind in BY_WORKLOAD.items():
        if tuple(parts[: len(folder)]) != folder:
            continue
        try:
            allowed = job.kind == kind and UUID(parts[len(folder)]) == job.workload_id
        except (ValueError, IndexError):
            # Not about one task: counts and states that tasks may ask for.
            allowed = job.kind == kind and method == "GET"
        if not allowed:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                Code.NOT_YOURS,
                f"Job {job.id} may not call {path}: it concerns another task.",
            )


def _check_length(headers: Headers) -> int:
    """Give how many bytes the body may have."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > MAX_BODY_BYTES:
        raise too_long(MAX_BODY_BYTES, ADVICE)
    return MAX_BODY_BYTES if "transfer-encoding" in headers else int(length)


def _read_already(body: bytes, receive: Receive) -> Receive:
    told = False

    async def receive_on() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_on


def _path(scope: Scope) -> str:
    """Give the path below the endpoint, decoded: all of it, and not only what a pattern for routes matches."""
    _, _, path = scope["path"].removeprefix(scope.get("root_path", "")).partition(EXECUTION)
    return str(path)
