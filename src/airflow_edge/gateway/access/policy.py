"""What a task's call of the Execution API needs to be granted, by the policy that is in force at the centre.

A decision asks no database: the policy is looked for in the background, and what was asked for is written down there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec
from starlette.responses import JSONResponse, Response

from airflow_edge.gateway.access.policy_in_force import PolicyInForce
from airflow_edge.gateway.access.routes import folder_of, is_variables_listing, needs_of
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

    def __init__(self, in_force: PolicyInForce, upstream: UpstreamTasks, uses: UseCounter) -> None:
        self.in_force = in_force
        self.uses = uses
        self._upstream = upstream

    async def check(self, who: Who, task_instance_id: UUID, method: str, path: str, query: str) -> Denial | None:
        """Decide on a call; None if it may be made. What is about the task itself always may.

        :param task_instance_id: of the task that calls
        :param path: below the API, decoded
        :param query: as it came
        :raises StoreUnavailableError: the policy is not known yet.
        """
        if self.in_force.is_off(who.queue):
            return None
        needs = needs_of(method, path, query)
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

    async def filter_listing(self, who: Who, method: str, path: str, body: bytes) -> bytes | Denial:
        """Leave out of the answer to a call what the task may not see; give other answers as they are.

        :param body: of an answer that says that all went well
        :raises StoreUnavailableError: the policy is not known yet.
        """
        if not is_variables_listing(method, path):
            return body
        policy = await self.in_force.policy()
        if policy.mode(who.queue) != "enforce":
            return body
        try:
            listing = msgspec.json.decode(body, type=_Keys)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._deny_unknown(who, method, path, policy)
        may = [key for key in listing.keys if policy.grants(who, Need(grant=Grant.VARIABLES, name=key), _nobody)]
        # How many there are in all tells where the next page begins.
        return msgspec.json.encode(_Keys(keys=may, total_entries=listing.total_entries))

    async def _deny(self, who: Who, task_instance_id: UUID, needs: Collection[Need], policy: Policy) -> Denial | None:
        upstream: Collection[str] | None = ()
        if any(need.may_be_upstream(who) for need in needs):
            upstream = await self._upstream.of(task_instance_id)
        before = upstream or ()
        denied = None
        for need in needs:
            relations = need.relations(who, lambda: before)
            granted = policy.grants_related(who, need, relations)
            self.uses.note(who, need.grant, relations[0] if relations else need.name, granted=granted)
            if not granted and denied is None:
                unknown = upstream is None and need.may_be_upstream(who)
                sentence = denial(who, need, policy.label, upstream_known=not unknown)
                denied = Denial(sentence, need.grant, need.name, policy.label)
        return denied

    def _deny_unknown(self, who: Who, method: str, path: str, policy: Policy) -> Denial:
        name = f"{method} /{folder_of(path)}"
        self.uses.note(who, ROUTE, name, granted=False)
        return Denial(denial_of_unknown(who, method, path, policy.label), ROUTE, name, policy.label)


class _Keys(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[str]
    total_entries: int


def _nobody() -> Collection[str]:
    return ()
