"""The Execution API as a supervisor at this site sees it: for its own job only, and always there."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

import msgspec

from airflow_edge.agent.core.events import Event, Seen, StateCallBegan, StateCallEnded
from airflow_edge.agent.net.http import Response
from airflow_edge.agent.site_secrets.secrets import SiteSecrets
from airflow_edge.agent.task_api.forwarder import Forwarder, Request
from airflow_edge.agent.task_api.site_secrets import SiteAnswers
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile

_HEARTBEAT = re.compile(r"/task-instances/[^/]+/heartbeat")
_STATE = re.compile(r"/task-instances/[^/]+/state")


class ExecutionApi:
    """Answers the supervisors: heartbeats by itself, everything else by way of the centre."""

    def __init__(
        self,
        forwarder: Forwarder,
        post: Callable[[Event], None],
        site_secrets: SiteSecrets | None = None,
        folder: Callable[[AssignmentKey], Path] = lambda _: Path(os.devnull),
    ) -> None:
        """:param post: tells the core
        :param site_secrets: what the site keeps itself
        :param folder: gives a job's folder, in whose log a refusal is to be read
        """
        self._forwarder = forwarder
        self._post = post
        self._site_secrets: SiteAnswers | None = None
        if site_secrets is not None and site_secrets.any:
            self._site_secrets = SiteAnswers(site_secrets, folder)
        # Found by its digest, a secret cannot be guessed piece by piece from the time that a comparison takes.
        self._open: dict[bytes, AssignmentKey] = {}

    def admit(self, secret: str, key: AssignmentKey, job: JobFile | None = None) -> None:
        """From now on this secret opens the API for the job.

        :param job: what is known of it, for what the site keeps itself; None where its file cannot be read
        """
        if self._site_secrets is not None and job is not None:
            self._site_secrets.admit(job)
        self._open[_digest(secret)] = key

    def close(self, key: AssignmentKey) -> None:
        """The job has ended as far as this worker is concerned."""
        if self._site_secrets is not None:
            self._site_secrets.close(key)
        for digest in [digest for digest, owner in self._open.items() if owner == key]:
            del self._open[digest]

    def refusal(self, request: Request) -> Response | None:
        """Give the answer to a call with a secret that opens nothing; None if it opens something."""
        if self._key(request) is not None:
            return None
        # A supervisor that nobody answers for any more ends its task when a heartbeat is answered so.
        return _GONE if _is_heartbeat(request) else _UNKNOWN

    async def __call__(self, request: Request) -> Response:
        """Answer a call."""
        key = self._key(request)
        if key is None:
            return self.refusal(request) or _UNKNOWN
        heartbeat = _is_heartbeat(request)
        if "\n" in unquote(request.path)[:-1]:
            # No route of Airflow's server matches a line break, that to the gateway neither: it would be a stranger's
            # answer, and waited for in vain.
            return _NOWHERE
        # Not `Seen` as well: a stop that waits for a sign of life must not come before the state that is on its way.
        if request.method == "PATCH" and _STATE.fullmatch(request.path):
            return await self._change_state(key, request)
        self._post(Seen(key))
        if heartbeat:
            return Response(HTTPStatus.NO_CONTENT)
        if self._site_secrets is not None and (answer := await self._site_secrets.answer(key, request)) is not None:
            # The job may have come to its end meanwhile.
            return self.refusal(request) or answer
        return await self._forward(key, request)

    def _key(self, request: Request) -> AssignmentKey | None:
        return self._open.get(_digest(request.headers.get("authorization", "").removeprefix("Bearer ")))

    async def _change_state(self, key: AssignmentKey, request: Request) -> Response:
        passed = False
        self._post(StateCallBegan(key))
        try:
            response = await self._forward(key, request)
            passed = 200 <= response.status < 300
        finally:
            self._post(StateCallEnded(key, passed))
        return response

    async def _forward(self, key: AssignmentKey, request: Request) -> Response:
        return await self._forwarder.forward(key, request, lambda: self._post(Seen(key)))


def _is_heartbeat(request: Request) -> bool:
    return request.method == "PUT" and _HEARTBEAT.fullmatch(request.path) is not None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _problem(status: HTTPStatus, reason: str, message: str) -> Response:
    body = msgspec.json.encode({"detail": {"reason": reason, "message": message}})
    return Response(status, {"content-type": "application/json"}, body)


_NOWHERE = Response(HTTPStatus.NOT_FOUND, {"content-type": "application/json"}, b'{"detail":"Not Found"}')
"""What Airflow's server says itself."""
_GONE = _problem(HTTPStatus.GONE, "not_found", "this job is over")
_UNKNOWN = _problem(HTTPStatus.UNAUTHORIZED, "unknown_job", "this secret opens no job of this worker")
