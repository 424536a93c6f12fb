"""The calls for connections and variables that this site keeps itself: the centre hears nothing of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec

from airflow_edge.agent.net.http import Response
from airflow_edge.agent.site_secrets.secrets import Given, SiteSecrets
from airflow_edge.agent.task_api.forwarder import Request
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile, SecretKind
from airflow_edge.protocol.logs.worker_log import STAYS
from airflow_edge.site.stop import note

log = logging.getLogger(__name__)

REASON: Final = "site_secrets"
"""What a refusal is known by, for programs."""
MOST_SAID: Final = 200
"""Lines of the worker's log about one job."""
_ROUTES: Final[tuple[tuple[re.Pattern[str], SecretKind], ...]] = (
    (re.compile(r"/connections/(.+)", re.DOTALL), "connection"),
    (re.compile(r"/variables/(.+)", re.DOTALL), "variable"),
)
"""The same in all versions of the Execution API."""
_JSON: Final = {"content-type": "application/json"}


class _TaskOfDag(msgspec.Struct):
    dag_id: str = ""


class _WorkloadOfDag(msgspec.Struct):
    ti: _TaskOfDag | None = None


class SiteAnswers:
    """Answers them, for the jobs that are admitted."""

    def __init__(self, secrets: SiteSecrets, folder: Callable[[AssignmentKey], Path]) -> None:
        """:param folder: gives a job's folder, in whose log a refusal is to be read"""
        self._secrets = secrets
        self._folder = folder
        self._dags: dict[AssignmentKey, str] = {}
        self._said: dict[AssignmentKey, set[str]] = {}

    def admit(self, job: JobFile) -> None:
        """Note which Dag the centre says the job is of. A callback's is not known."""
        try:
            workload = msgspec.json.decode(job.workload, type=_WorkloadOfDag)
        except msgspec.MsgspecError:
            return
        self._dags[job.key] = workload.ti.dag_id if workload.ti else ""

    def close(self, key: AssignmentKey) -> None:
        """Forget an ended job."""
        self._dags.pop(key, None)
        self._said.pop(key, None)

    async def answer(self, key: AssignmentKey, request: Request) -> Response | None:
        """Answer a job's call; None for one that the centre is to answer."""
        # As the centre reads it.
        path = unquote(request.path)
        found = [(match[1], kind) for route, kind in _ROUTES if (match := route.fullmatch(path))]
        if not found:
            return None
        name, kind = found[0]
        dag_id = self._dags.get(key, "")
        write = request.method != "GET"
        decision = await self._secrets.ask(kind, name, dag_id, write=write)
        if decision is None:
            return None
        if isinstance(decision, Given):
            self._say(logging.INFO, key, f"was given the {kind} '{name}' from this site")
            return Response(HTTPStatus.OK, _JSON, decision.body)
        refused = {"GET": "was not given", "DELETE": "was not let delete"}.get(request.method, "was not let change")
        why = f" ({decision.why})" if decision.why else ""
        if self._say(logging.WARNING, key, f"{refused} the {kind} '{name}': {decision.sentence}{why}"):
            # Airflow tells a task only that it may not.
            note(self._folder(key), decision.sentence)
        body = msgspec.json.encode({"detail": {"reason": REASON, "message": decision.sentence}})
        status = HTTPStatus.SERVICE_UNAVAILABLE if decision.passing else HTTPStatus.FORBIDDEN
        return Response(status, _JSON, body)

    def _say(self, level: int, key: AssignmentKey, what: str) -> bool:
        """Have it in the worker's log, once for each job: a task may ask without end. Say whether it is new."""
        said = self._said.setdefault(key, set())
        if what in said or len(said) >= MOST_SAID:
            return False
        said.add(what)
        log.log(level, "%sjob %s %s", STAYS, key, what)
        return True
