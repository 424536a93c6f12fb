"""Calls that would do harm if they were carried out twice, or twice at once: a task's state, values, and what is
remembered.

A call whose answer was lost is repeated by the agent, or, after the agent itself has died, by the supervisor: nobody
but the centre can know that it is the same one.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from airflow_edge.gateway.access.routes import Repeat
from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.task_api import ask
from airflow_edge.store.jobs.execution_calls import CallAnswer
from airflow_edge.store.jobs.jobs import AssignedJob

log = logging.getLogger(__name__)

T = TypeVar("T")

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


@dataclass(frozen=True, slots=True)
class RepeatableCall:
    """A call of the Execution API that may have come before."""

    gateway: Gateway
    job: AssignedJob
    """The job that it is made for."""
    application: ASGIApp
    """Airflow's Execution API."""
    scope: Scope
    body: bytes

    async def answer(self, repeat: Repeat) -> Response:
        """Carry it out as calls of its kind are.

        :raises StoreUnavailableError: the database failed; it is to be repeated.
        :raises ProblemError: the job is no longer its worker's.
        """
        match repeat:
            case Repeat.SET:
                return await self._set_value()
            case Repeat.STATE:
                said = await self._set_state()
                if said.status_code < HTTPStatus.BAD_REQUEST:
                    await self.gateway.calling_jobs.close(self.job)
                return said
            case Repeat.RECOGNISED:
                said = await self._ask()
                if said.status_code < HTTPStatus.BAD_REQUEST:
                    await self.gateway.calling_jobs.begin(self.job)
                return said
            case _:
                return await self._ask_once()

    async def _set_value(self) -> Response:
        """Set a value.

        The connection may have broken while Airflow was still at it, here or in another API server: of two that insert
        the same row at once, Airflow refuses the later one with 409. By then the earlier one has ended.
        """
        for _ in range(MOST_COLLISIONS):
            said = await self._ask()
            if not _has_collided(said):
                break
        return said

    async def _set_state(self) -> Response:
        """Set the task's state."""
        wish = _decoded(self.body, _Wish).state
        # A deferred task keeps its id: Airflow could not tell this run from the one that has taken it on.
        if await self.gateway.calls.run(self.gateway.store.calls.superseded, self.job.id):
            return _response(_DONE if wish in PARTING else _GONE_ON)
        said = await self._ask()
        return _response(_DONE, said) if _done_before(wish, said) else said

    async def _ask_once(self) -> Response:
        """Carry it out once: the second time, the answer to the first is given.

        What changed nothing (4xx) may be asked again; where Airflow failed (5xx), nobody knows whether it was done.
        """
        calls, run = self.gateway.store.calls, self.gateway.calls.run
        digest = self._digest()
        known = await run(calls.begin, digest, self.job.id)
        if known is not None and known.answer is not None:
            return _response(known.answer)
        said = await self._ask()
        # The answer to the first call was noted by nobody; but that it is there now shows what it was.
        if known is not None and said.status_code == HTTPStatus.CONFLICT:
            said = _response(_DONE, said)
        try:
            if said.status_code < HTTPStatus.BAD_REQUEST:
                answer = CallAnswer(said.status_code, said.headers.get("content-type", ""), bytes(said.body))
                await run(calls.remember, digest, answer)
            elif said.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                await run(calls.forget, digest)
        except StoreUnavailableError:
            log.warning("The answer to %s %r could not be noted", self.scope["method"], self.scope["path"])
        return said

    async def _ask(self) -> Response:
        return await ask(self.application, self.scope, self.body)

    def _digest(self) -> str:
        """Give what makes it the same call as another one."""
        query = self.scope["query_string"].decode("latin-1")
        asked = (f"{self.job.id}:{self.job.assignment}", self.scope["method"], self.scope["path"], query)
        return hashlib.sha256("\n".join(asked).encode("utf-8", "surrogateescape") + b"\n" + self.body).hexdigest()


def _response(answer: CallAnswer, instead: Response | None = None) -> Response:
    """Make an answer, in place of another one whose correlation id it keeps."""
    headers = {"content-type": answer.content_type} if answer.content_type else {}
    if instead is not None and "correlation-id" in instead.headers:
        headers["correlation-id"] = instead.headers["correlation-id"]
    return Response(answer.body, int(answer.status), headers)


class _Wish(msgspec.Struct):
    state: str = ""


class _Detail(msgspec.Struct):
    previous_state: str | None = None
    reason: str = ""


class _Conflict(msgspec.Struct):
    detail: _Detail = msgspec.field(default_factory=_Detail)


def _done_before(wish: str, said: Response) -> bool:
    """Whether a refusal says that what is asked has been done, or is of no concern to the process any more.

    Airflow answers 409 to a state that is not `running` any more, and 404 (from 3.4 on 410) where the next try has
    begun, which has another id (`execution_api/routes/task_instances.py: ti_update_state`).
    """
    if wish in PARTING:
        return said.status_code in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
    if said.status_code != HTTPStatus.CONFLICT:
        return False
    return bool(wish) and _decoded(bytes(said.body), _Conflict).detail.previous_state == wish


def _has_collided(said: Response) -> bool:
    """Whether a row that was to be inserted was there all of a sudden.

    Airflow says so in words only (`api_fastapi/common/exceptions.py: _UniqueConstraintErrorHandler`).
    """
    reason = _decoded(bytes(said.body), _Conflict).detail.reason
    return said.status_code == HTTPStatus.CONFLICT and reason == "Unique constraint violation"


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return kind()
