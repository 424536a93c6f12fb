"""Calls that would do harm if they were carried out twice, or twice at once: a task's state, values, and what is
remembered.

A call whose answer was lost is repeated by the agent, or, after the agent itself has died, by the supervisor: nobody
but the centre can know that it is the same one.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from starlette.types import Message, Receive, Scope, Send

from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.store.jobs.execution_calls import CallAnswer
from airflow_edge.store.jobs.jobs import AssignedJob

log = logging.getLogger(__name__)

T = TypeVar("T")

Ask = Callable[[Scope, Receive, Send], Awaitable[None]]
"""Airflow's Execution API, as an ASGI application."""

PARTING: Final = frozenset({"deferred", "up_for_reschedule", "up_for_retry", "awaiting_input"})
"""States with which a process leaves its task to others, who may have taken it on before the process asks again."""

MOST_COLLISIONS: Final = 5
"""How often a value is set anew because another call has set it at the same time."""

_DONE: Final = CallAnswer(HTTPStatus.NO_CONTENT, "", b"")
_GONE_ON: Final = CallAnswer(
    HTTPStatus.CONFLICT,
    "application/json",
    b'{"detail":{"reason":"invalid_state","message":"a newer run of the task was queued","previous_state":"queued"}}',
)


async def set_state(gateway: Gateway, job: AssignedJob, ask: Ask, scope: Scope, body: bytes, send: Send) -> None:
    """Serve a call that sets the task's state.

    :raises StoreUnavailableError: the database failed; nothing was done.
    """
    wish = _decoded(body, _Wish).state
    # A deferred task keeps its id: Airflow could not tell this run from the one that has taken it on.
    if await gateway.calls.run(gateway.store.calls.superseded, job.id):
        await _send(send, _DONE if wish in PARTING else _GONE_ON)
        return
    said = await _listen(ask, scope, body)
    await _send(send, _DONE if _done_before(wish, said) else said.answer, said.correlation)


async def set_value(ask: Ask, scope: Scope, body: bytes, send: Send) -> None:
    """Serve a call that sets a value.

    Its connection may have broken while Airflow was still at it, here or in another API server: of two that insert the
    same row at once, Airflow refuses the later one with 409. By then the earlier one has ended.
    """
    for _ in range(MOST_COLLISIONS):
        said = await _listen(ask, scope, body)
        if not _has_collided(said.answer):
            break
    await _send(send, said.answer, said.correlation)


async def ask_once(gateway: Gateway, job: AssignedJob, ask: Ask, scope: Scope, body: bytes, send: Send) -> None:
    """Serve a call that is carried out once: the second time, the answer to the first is given.

    What changed nothing (4xx) may be asked again; where Airflow failed (5xx), nobody knows whether it was done.

    :raises StoreUnavailableError: the database failed; nothing was done.
    """
    digest = _digest(job, scope, body)
    known = await gateway.calls.run(gateway.store.calls.begin, digest, job.id)
    if known is not None and known.answer is not None:
        await _send(send, known.answer)
        return
    said = await _listen(ask, scope, body)
    # The answer to the first call was noted by nobody; but that it is there now shows what it was.
    answer = _DONE if known is not None and said.answer.status == HTTPStatus.CONFLICT else said.answer
    try:
        if answer.status < HTTPStatus.BAD_REQUEST:
            await gateway.calls.run(gateway.store.calls.remember, digest, answer)
        elif answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            await gateway.calls.run(gateway.store.calls.forget, digest)
    except StoreUnavailableError:
        log.warning("The answer to %s %s could not be noted", scope["method"], scope["path"])
    await _send(send, answer, said.correlation)


class _Wish(msgspec.Struct):
    state: str = ""


class _Detail(msgspec.Struct):
    previous_state: str | None = None
    reason: str = ""


class _Conflict(msgspec.Struct):
    detail: _Detail = msgspec.field(default_factory=_Detail)


@dataclass(slots=True)
class _Said:
    """What Airflow answered."""

    answer: CallAnswer
    correlation: list[tuple[bytes, bytes]] = field(default_factory=list)
    """The header with the correlation id."""


def _done_before(wish: str, said: _Said) -> bool:
    """Whether a refusal says that what is asked has been done, or is of no concern to the process any more.

    Airflow answers 409 to a state that is not `running` any more, and 404 where the next try has begun, which
    has another id (`execution_api/routes/task_instances.py: ti_update_state`).
    """
    if wish in PARTING:
        return said.answer.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}
    if said.answer.status != HTTPStatus.CONFLICT:
        return False
    return bool(wish) and _decoded(said.answer.body, _Conflict).detail.previous_state == wish


def _has_collided(answer: CallAnswer) -> bool:
    """Whether a row that was to be inserted was there all of a sudden.

    Airflow says so in words only (`api_fastapi/common/exceptions.py: _UniqueConstraintErrorHandler`).
    """
    reason = _decoded(answer.body, _Conflict).detail.reason
    return answer.status == HTTPStatus.CONFLICT and reason == "Unique constraint violation"


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return kind()


def _digest(job: AssignedJob, scope: Scope, body: bytes) -> str:
    asked = (f"{job.id}:{job.assignment}", scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
    return hashlib.sha256("\n".join(asked).encode("utf-8", "surrogateescape") + b"\n" + body).hexdigest()


async def _listen(ask: Ask, scope: Scope, body: bytes) -> _Said:
    said = _Said(CallAnswer(HTTPStatus.INTERNAL_SERVER_ERROR, "", b""))
    parts: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        parts.append(message)

    await ask(scope, receive, send)
    for message in parts:
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message["headers"]}
            said.answer = CallAnswer(message["status"], headers.get(b"content-type", b"").decode("latin-1"), b"")
            said.correlation = [(name, value) for name, value in headers.items() if name == b"correlation-id"]
    whole = b"".join(message.get("body", b"") for message in parts)
    said.answer = CallAnswer(said.answer.status, said.answer.content_type, whole)
    return said


async def _send(send: Send, answer: CallAnswer, correlation: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"content-length", str(len(answer.body)).encode())] if answer.status != HTTPStatus.NO_CONTENT else []
    if answer.content_type:
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers + (correlation or [])})
    await send({"type": "http.response.body", "body": answer.body})
