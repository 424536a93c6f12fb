"""Takes a supervisor's call to the centre, and holds it for as long as the centre cannot be reached.

Only the gateway's own answer counts, which its mark tells from everybody else's. A call whose answer was lost, or
replaced by a stranger's, may have been carried out; the centre knows which of them must not be carried out twice
(`gateway/endpoints/repeats.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from airflow_edge.agent.errors import AgentError, ForeignAnswerError
from airflow_edge.agent.net.foreign import NOBODY_BEHIND, TOO_LARGE
from airflow_edge.agent.net.http import HttpClient, Response
from airflow_edge.backoff import Backoff
from airflow_edge.protocol import urls
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.problems import Code, read_problem

log = logging.getLogger(__name__)

FIRST_WAIT = 0.2
LONGEST_WAIT = 8.0
PATIENCE = 60.0
"""Seconds without progress after which an attempt has failed."""
TOO_LARGE_AFTER = 60.0
"""Seconds for which somebody on the way has to say that a call is too large for him, until that is believed."""
CONDITION_AFTER = 5.0
"""Seconds for which strangers have to answer a call in the centre's place until the worker takes no new job for it."""
PROBE_PATIENCE = 10.0
"""Seconds in which the centre has to answer something small meanwhile."""
LONGEST_CONDITION = 500

_PASSED_ON = ("airflow-api-version", "correlation-id", "traceparent", "tracestate", "content-type", "accept")
_KEPT_BACK = frozenset(
    {
        # A token of Airflow's must not reach a site; it would also replace the job's own secret at the supervisor.
        "refreshed-api-token",
        "set-cookie",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "trailer",
    }
)
_PASSES = frozenset({Code.CLOCK_SKEW, Code.REPLAYED, Code.TOO_SLOW, Code.TOO_MANY})
"""Why the gateway refuses what we send for a reason that passes: none of the supervisor's business."""
_MAY_PASS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class Request:
    """A supervisor's call; header names are in lower case."""

    method: str
    path: str
    """Percent-encoded, as it came."""
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, eq=False)
class _Held:
    """A call that waits for the centre."""

    reason: str = ""
    stranger: str = ""
    """What somebody else has answered in the centre's place the last time; empty if nobody has."""
    strangers_since: float = 0.0
    too_large_since: float | None = None


class Forwarder:
    """Forwards calls. A supervisor makes one call at a time, so that the order of a job's calls is kept."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._hurry = asyncio.Event()
        self._held: set[_Held] = set()

    @property
    def condition(self) -> str:
        """Who answers the tasks' calls in the centre's place, for a person; empty if nobody does."""
        now = time.monotonic()
        lasting = [held for held in self._held if held.stranger and now - held.strangers_since >= CONDITION_AFTER]
        if not lasting:
            return ""
        return f"{len(lasting)} calls of tasks are held: {lasting[0].stranger}"[:LONGEST_CONDITION]

    def hurry(self) -> None:
        """The centre is back: the calls that are held are tried at once."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    async def forward(self, key: AssignmentKey, request: Request, waiting: Callable[[], None]) -> Response:
        """Have the centre answer the call, however long that takes; cancel it when the answer is not wanted any more.

        Only where somebody on the way lets nothing as large as this one call through, though he lets others, is it
        answered here: with 413, and in words that name him.

        :param waiting: called before each attempt
        """
        path = urls.EXECUTION + request.path
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        headers[urls.JOB_HEADER] = f"{key.job_id}:{key.assignment}"
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        held = _Held()
        try:
            while True:
                hurry = self._hurry
                waiting()
                least_wait = 0.0
                try:
                    response = await self._http.request(
                        request.method, path, query=request.query, headers=headers, body=request.body, patience=PATIENCE
                    )
                except ForeignAnswerError as error:
                    reason, least_wait = str(error), error.retry_after
                    if await self._will_never_pass(held, error):
                        log.error("%s %s of job %s has failed: %s", request.method, request.path, key, reason)
                        return _too_large(reason)
                    _note_stranger(held, reason)
                except AgentError as error:
                    reason = str(error)
                    _note_stranger(held, "")
                else:
                    reason = _why_not(response)
                    if not reason:
                        if held.reason:
                            log.info("%s %s of job %s was delivered", request.method, request.path, key)
                        kept = {name: value for name, value in response.headers.items() if name not in _KEPT_BACK}
                        return Response(response.status, kept, response.body)
                    _note_stranger(held, "")
                if reason != held.reason:
                    log.warning("%s %s of job %s is held: %s", request.method, request.path, key, reason)
                held.reason = reason
                self._held.add(held)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(hurry.wait(), max(backoff.next(), least_wait))
        finally:
            self._held.discard(held)

    async def _will_never_pass(self, held: _Held, error: ForeignAnswerError) -> bool:
        """Say whether it is for good that somebody finds this very call too large: for a while, and he lets others."""
        if error.status not in TOO_LARGE:
            held.too_large_since = None
            return False
        now = time.monotonic()
        if held.too_large_since is None:
            held.too_large_since = now
        if now - held.too_large_since < TOO_LARGE_AFTER:
            return False
        try:
            await self._http.request("GET", urls.HEALTH, patience=PROBE_PATIENCE)
        except AgentError:
            return False
        return True


def _note_stranger(held: _Held, answer: str) -> None:
    if answer and not held.stranger:
        held.strangers_since = time.monotonic()
    held.stranger = answer


def _why_not(response: Response) -> str:
    """Say why an answer of the gateway is not one for the supervisor; empty if it is."""
    if response.status in NOBODY_BEHIND:
        return f"the centre answered {response.status}"
    problem = read_problem(response.body) if response.status in _MAY_PASS else None
    return problem.detail if problem and problem.code in _PASSES else ""


def _too_large(reason: str) -> Response:
    body = msgspec.json.encode({"detail": {"reason": "too_large_on_the_way", "message": reason}})
    return Response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"content-type": "application/json"}, body)
