"""What a task's call of the Execution API needs to be granted, by the policy that is in force at the centre.

A decision asks no database, but one that does not tell names apart: the policy is looked for in the background, and
what was asked for is written down there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
from starlette.responses import JSONResponse, Response

from airflow_edge.gateway.access.malformed import LONG
from airflow_edge.gateway.access.policy_in_force import PolicyInForce
from airflow_edge.gateway.access.routes import folder_of, needs_of
from airflow_edge.gateway.access.states import changes, without
from airflow_edge.gateway.access.stored_names import StoredNames
from airflow_edge.gateway.access.upstream import UpstreamTasks
from airflow_edge.gateway.access.uses import UseCounter
from airflow_edge.rules.policy.grants import Grant, Need, Who
from airflow_edge.rules.policy.policy import Policy, denial, denial_of_unknown
from airflow_edge.rules.worker import Worker
from airflow_edge.store.jobs.jobs import AssignedJob

REASON: Final = "edge_policy"
"""What a denial is known by, for programs."""
ROUTE: Final = "route"
"""The kind of what nobody knows."""
MOST_KEYS: Final = 10_000
"""Names of variables of which Airflow tells at a time."""
_PAGE: Final = {"offset": "0", "limit": "1000"}
"""What a page of them is where the call does not say it."""

AskAirflow: TypeAlias = Callable[[str], Awaitable[Response]]
"""Asks Airflow, with this query."""


@dataclass(frozen=True, slots=True)
class Denial:
    """That a call is denied."""

    sentence: str
    """Who may not what, and what would grant it: for the task's log, the audit log and the explanation of its job."""
    kind: str
    """The grant that is missing; `route` for a call that nobody knows."""
    name: str
    policy: str
    """What the policy is known by."""

    def answer(self) -> Response:
        """Make the answer, as Airflow's own refusals look: the Task SDK shows its text to the task."""
        body = {"detail": {"reason": REASON, "message": self.sentence}}
        return JSONResponse(body, HTTPStatus.FORBIDDEN)


def who_calls(job: AssignedJob, worker: Worker) -> Who:
    """Give the task whose calls a worker passes on."""
    return Who(
        team_name=job.team_name,
        queue=job.queue,
        worker=worker.name,
        dag_id=job.dag_id,
        run_id=job.run_id,
        task_id=job.task_id,
    )


class PolicyGate:
    """Decides, for one gateway process, what tasks may ask of the centre."""

    def __init__(
        self, in_force: PolicyInForce, upstream: UpstreamTasks, uses: UseCounter, stored_names: StoredNames
    ) -> None:
        self.in_force = in_force
        self.uses = uses
        self._upstream = upstream
        self._stored_names = stored_names

    async def check(
        self, who: Who, task_instance_id: UUID, method: str, path: str, query: str, body: bytes = b"{}"
    ) -> Denial | None:
        """Decide on a call; None if it may be made. What is about the task itself always may.

        :param task_instance_id: of the task that calls
        :param path: below the API, decoded
        :param query: as it came
        :raises StoreUnavailableError: the policy is not known yet.
        """
        if self.in_force.is_off(who.queue):
            return None
        if len(body) <= LONG:
            needs = needs_of(method, path, query, body)
        else:
            needs = await asyncio.to_thread(needs_of, method, path, query, body)
        if needs is not None:
            needs = [need for need in needs if not need.is_own(who)]
            if not needs:
                return None
        policy = await self.in_force.policy()
        mode = policy.mode(who.queue)
        if mode == "off":
            return None
        if needs is None:
            denied: Denial | None = self._deny_unknown(who, method, path, policy)
        else:
            denied = await self._deny(who, task_instance_id, needs, policy)
        return denied if mode == "enforce" else None

    async def withhold(self, who: Who, task_instance_id: UUID, body: bytes) -> tuple[bytes, Denial | None]:
        """Leave out of a task's new state the assets that it may not say are changed; give that state, and what was.

        What a task has come to is never refused because of them.

        :raises StoreUnavailableError: the policy is not known yet.
        """
        if self.in_force.is_off(who.queue):
            return body, None
        needs = await asyncio.to_thread(changes, body) if len(body) > LONG else changes(body)
        policy = await self.in_force.policy()
        mode = policy.mode(who.queue)
        if mode == "off":
            return body, None
        denied = {need: await self._deny(who, task_instance_id, [need], policy) for need in needs}
        withheld = [need for need, denial in denied.items() if denial is not None]
        if mode != "enforce" or not withheld:
            return body, None
        return without(body, withheld), denied[withheld[0]]

    async def listing(self, who: Who, method: str, path: str, query: str, ask: AskAirflow) -> Response | Denial:
        """Give Airflow's answer to a call that lists variables, as if there were none but those that the task may see.

        How many there are in all and where a page begins would tell of the others, letter by letter of their names:
        Airflow is asked for all of them, and the pages are made here.

        :param query: as it came
        :param ask: asks Airflow the same with another query
        :raises StoreUnavailableError: the policy is not known yet.
        """
        said = await ask(query)
        if said.status_code >= HTTPStatus.BAD_REQUEST:
            return said
        policy = await self.in_force.policy()
        if policy.mode(who.queue) != "enforce":
            return said
        values = dict(parse_qsl(query, keep_blank_values=True))
        prefix = {name: value for name, value in values.items() if name == "prefix"}
        visible: list[str] = []
        place, total = 0, 1
        try:
            offset, limit = (int(float(values.get(name, default))) for name, default in _PAGE.items())
            _read_keys(said)
            while place < total:
                more = await ask(urlencode({**prefix, "limit": MOST_KEYS, "offset": place}))
                if more.status_code >= HTTPStatus.BAD_REQUEST:
                    return more
                found = _read_keys(more)
                visible += (key for key in found.keys if policy.grants(who, _reading(key), _nobody))
                place, total = place + len(found.keys), found.total_entries if found.keys else 0
        except (msgspec.MsgspecError, ValueError):
            return self._deny_unknown(who, method, path, policy)
        page = _Keys(keys=visible[offset : offset + limit], total_entries=len(visible))
        kept = {name: said.headers[name] for name in ("content-type", "correlation-id") if name in said.headers}
        return Response(msgspec.json.encode(page), said.status_code, kept)

    async def _deny(self, who: Who, task_instance_id: UUID, needs: Collection[Need], policy: Policy) -> Denial | None:
        upstream: Collection[str] | None = ()
        if any(need.may_be_upstream(who) for need in needs):
            upstream = await self._upstream.of(task_instance_id)
        before = upstream or ()
        enforced = policy.mode(who.queue) == "enforce"
        denied = None
        for need in [*needs, *await self._stored_names.others(needs)]:
            relations = need.relations(who, lambda: before)
            granted = policy.grants_related(who, need, relations)
            self.uses.note(who, need.grant, need.noted(relations), granted=granted, enforced=enforced)
            if not granted and denied is None:
                unknown = upstream is None and need.may_be_upstream(who)
                sentence = denial(who, need, policy.label, upstream_known=not unknown)
                denied = Denial(sentence, need.grant, need.name, policy.label)
        return denied

    def _deny_unknown(self, who: Who, method: str, path: str, policy: Policy) -> Denial:
        name = f"{method} /{folder_of(path)}"
        self.uses.note(who, ROUTE, name, granted=False, enforced=policy.mode(who.queue) == "enforce")
        return Denial(denial_of_unknown(who, method, path, policy.label), ROUTE, name, policy.label)


class _Keys(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[str]
    total_entries: int


def _read_keys(said: Response) -> _Keys:
    """Read a page of Airflow's.

    :raises msgspec.MsgspecError: it is none.
    :raises UnicodeDecodeError: the same.
    """
    return msgspec.json.decode(bytes(said.body), type=_Keys)


def _reading(key: str) -> Need:
    return Need(grant=Grant.VARIABLES, name=key)


def _nobody() -> Collection[str]:
    return ()
