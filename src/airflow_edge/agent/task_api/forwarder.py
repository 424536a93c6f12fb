"""Takes a supervisor's call to the centre, and holds it for as long as the centre cannot be reached.

A call whose answer was lost may have been carried out; the centre knows which of them must not be carried out twice
(`gateway/endpoints/repeats.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.net.failures import NOBODY_BEHIND
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
_TOKEN_SPOILED = frozenset({Code.CLOCK_SKEW, Code.REPLAYED})
"""Why the gateway refuses our own token for a reason that passes: none of the supervisor's business."""


@dataclass(frozen=True, slots=True)
class Request:
    """A supervisor's call; header names are in lower case."""

    method: str
    path: str
    """Percent-encoded, as it came."""
    query: str
    headers: Mapping[str, str]
    body: bytes


class Forwarder:
    """Forwards calls. A supervisor makes one call at a time, so that the order of a job's calls is kept."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """The centre is back: the calls that are held are tried at once."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    async def forward(self, key: AssignmentKey, request: Request, waiting: Callable[[], None]) -> Response:
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
                problem = read_problem(response.body) if response.status == HTTPStatus.UNAUTHORIZED else None
                if response.status in NOBODY_BEHIND:
                    reason = f"the centre answered {response.status}"
                elif problem and problem.code in _TOKEN_SPOILED:
                    reason = problem.detail
                else:
                    if held:
                        log.info("%s %s of job %s was delivered", request.method, request.path, key)
                    kept = {name: value for name, value in response.headers.items() if name not in _KEPT_BACK}
                    return Response(response.status, kept, response.body)
            if not held:
                held = True
                log.warning("%s %s of job %s is held: %s", request.method, request.path, key, reason)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), backoff.next())
