"""Takes a supervisor's call to the centre, and holds it for as long as the centre cannot be reached.

A call whose answer was lost may have been carried out; the centre knows which of them must not be carried out twice
(`gateway/endpoints/repeats.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

import msgspec

from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.net.failures import NOBODY_BEHIND
from airflow_edge.agent.net.http import Response
from airflow_edge.agent.task_api.calls import LocalResponse, Request
from airflow_edge.backoff import Backoff
from airflow_edge.protocol import urls
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.problems import Code, Problem

log = logging.getLogger(__name__)

FIRST_WAIT = 0.2
LONGEST_WAIT = 8.0
PATIENCE = 60.0
"""Seconds without progress after which an attempt has failed."""

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


class Http(Protocol):
    """`agent.net.http.HttpClient`, as far as it is needed here."""

    async def request(
        self, method: str, path: str, *, query: str, headers: Mapping[str, str], body: bytes, patience: float
    ) -> Response: ...


class Forwarder:
    """Forwards calls. A supervisor makes one call at a time, so that the order of a job's calls is kept."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """The centre is back: the calls that are held are tried at once."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    async def forward(self, key: AssignmentKey, request: Request, waiting: Callable[[], None]) -> LocalResponse:
        """Have the centre answer the call, however long that takes; cancel it when the answer is not wanted any more.

        :param waiting: called before each attempt
        """
        path = urls.EXECUTION + request.path
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        headers[urls.JOB_HEADER] = f"{key.job_id}:{key.assignment}"
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        held = False
        while True:
            hurry = self._hurry
            waiting()
            try:
                response = await self._http.request(
                    request.method, path, query=request.query, headers=headers, body=request.body, patience=PATIENCE
                )
            except AgentError as error:
                reason = str(error)
            else:
                if response.status in NOBODY_BEHIND:
                    reason = f"the centre answered {response.status}"
                elif not _token_spoiled(response):
                    if held:
                        log.info("%s %s of job %s was delivered", request.method, request.path, key)
                    return _local(response)
                else:
                    reason = _detail(response)
            if not held:
                held = True
                log.warning("%s %s of job %s is held: %s", request.method, request.path, key, reason)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), backoff.next())


def _local(response: Response) -> LocalResponse:
    headers = [(name, value) for name, value in response.headers.items() if name not in _KEPT_BACK]
    return LocalResponse(response.status, headers, response.body)


def _token_spoiled(response: Response) -> bool:
    """Whether the gateway refused our own token for a reason that passes: none of the supervisor's business."""
    return response.status == HTTPStatus.UNAUTHORIZED and _code(response) in {Code.CLOCK_SKEW, Code.REPLAYED}


def _code(response: Response) -> str:
    try:
        return msgspec.json.decode(response.body, type=Problem).code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _detail(response: Response) -> str:
    return msgspec.json.decode(response.body, type=Problem).detail
