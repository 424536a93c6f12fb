"""The routes of the REST API that change workers. A route's name is what its changes are called in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import uuid4

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends

from airflow_edge.admin.audit import OrderOutcome, recorded
from airflow_edge.admin.config import multi_team
from airflow_edge.admin.fleet import REMOVED, refused
from airflow_edge.admin.rest.access import AdminServices, Event, Services, may, may_change
from airflow_edge.admin.rest.documents import (
    OutcomeDocument,
    Selection,
    WithComment,
    WithConcurrency,
    WithGrace,
    WithLines,
    WithName,
    WithQueues,
)
from airflow_edge.admin.rest.problems import PROBLEMS
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import LogRequest, Worker

LOG_REQUEST_LASTS: Final = timedelta(seconds=30)
"""For how long a worker goes on sending its own log after it was asked for it."""

changing = APIRouter(dependencies=[Depends(may_change)], responses=PROBLEMS, tags=["Change"])


def _change(
    admin: AdminServices,
    user: BaseUser,
    event: str,
    patterns: Sequence[str],
    act: Callable[[Worker], OrderOutcome],
    **wish: object,
) -> list[OutcomeDocument]:
    with recorded(event, by=user.get_name(), wish={"asked": patterns, **wish}) as outcomes:
        own, outcomes_of_others = _by_team(admin.fleet.select(patterns), user)
        outcomes += outcomes_of_others
        for worker in own:
            outcomes.append(act(worker))
    return [OutcomeDocument.model_validate(outcome) for outcome in outcomes]


def _order(
    admin: AdminServices, user: BaseUser, event: str, patterns: Sequence[str], wish: Wish
) -> list[OutcomeDocument]:
    def act(worker: Worker) -> OrderOutcome:
        return admin.fleet.give_order(worker, wish, by=user.get_name())

    return _change(admin, user, event, patterns, act, text=wish.text, number=wish.number)


@changing.post("/workers/maintenance", operation_id="request_maintenance", name="maintenance")
def request_maintenance(wanted: WithComment, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Have workers take no new job, until they are told to leave maintenance."""
    return _order(admin, user, event, wanted.workers, Wish("maintenance", wanted.comment))


@changing.post("/workers/maintenance/comment", operation_id="update_maintenance_comment", name="maintenance comment")
def update_maintenance_comment(
    wanted: WithComment, user: GetUserDep, admin: Services, event: Event
) -> list[OutcomeDocument]:
    """Change the comment on a maintenance."""
    return _order(admin, user, event, wanted.workers, Wish("maintenance comment", wanted.comment))


@changing.post("/workers/maintenance/exit", operation_id="exit_maintenance", name="exit maintenance")
def exit_maintenance(wanted: Selection, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Have workers take jobs again."""
    return _order(admin, user, event, wanted.workers, Wish("exit maintenance"))


@changing.post("/workers/shutdown", operation_id="shutdown_workers", name="shutdown")
def shutdown_workers(wanted: Selection, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Have workers finish their jobs and end."""
    return _order(admin, user, event, wanted.workers, Wish("shutdown"))


@changing.post("/workers/restart", operation_id="restart_workers", name="restart")
def restart_workers(wanted: Selection, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Have workers replace their agent by a new one; their jobs go on."""
    return _order(admin, user, event, wanted.workers, Wish("restart"))


@changing.post("/workers/concurrency", operation_id="set_concurrency", name="concurrency")
def set_concurrency(wanted: WithConcurrency, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Set how many slots workers have."""
    return _order(admin, user, event, wanted.workers, Wish("concurrency", number=wanted.concurrency))


@changing.post("/workers/rename", operation_id="rename_worker", name="rename")
def rename_worker(wanted: WithName, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Give a worker another name."""
    return _order(admin, user, event, [wanted.worker], Wish("rename", wanted.name))


@changing.post("/workers/queues/add", operation_id="add_queues", name="add queues")
def add_queues(wanted: WithQueues, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Have workers serve more queues."""
    act = partial(admin.fleet.change_queues, add=wanted.queues)
    return _change(admin, user, event, wanted.workers, act, queues=wanted.queues)


@changing.post("/workers/queues/remove", operation_id="remove_queues", name="remove queues")
def remove_queues(wanted: WithQueues, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Have workers serve these queues no more; jobs that they have go on."""
    act = partial(admin.fleet.change_queues, remove=wanted.queues)
    return _change(admin, user, event, wanted.workers, act, queues=wanted.queues)


@changing.post("/workers/revoke", operation_id="revoke_workers", name="revoke")
def revoke_workers(wanted: Selection, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Revoke workers' keys: they are cut off at once, and what they run is lost."""
    return _change(admin, user, event, wanted.workers, admin.fleet.revoke)


@changing.post("/workers/remove", operation_id="remove_workers", name="remove")
def remove_workers(wanted: Selection, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Forget workers that are offline or revoked."""
    return _change(admin, user, event, wanted.workers, admin.fleet.remove)


@changing.post("/workers/disconnect-grace", operation_id="set_disconnect_grace", name="disconnect grace")
def set_disconnect_grace(wanted: WithGrace, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Set for how long jobs of workers are waited for while these are out of reach, or take it back; at once."""
    grace = None if wanted.seconds is None else timedelta(seconds=wanted.seconds)
    act = partial(admin.fleet.set_disconnect_grace, grace=grace)
    return _change(admin, user, event, wanted.workers, act, seconds=wanted.seconds)


@changing.post("/workers/log", operation_id="ask_for_worker_log", name="worker log")
def ask_for_worker_log(wanted: WithLines, user: GetUserDep, admin: Services, event: Event) -> list[OutcomeDocument]:
    """Ask workers for their own log: the last lines, and what is added within half a minute.

    What comes of it is had from `GET /workers/{name}/log`; a batch that ends the past that was asked for has the
    outcome's `order_id` among its `answers`, without dashes.
    """

    def act(worker: Worker) -> OrderOutcome:
        if worker.revoked_at is not None:
            return refused(worker, "it is revoked")
        now, asked = datetime.now(UTC), uuid4()
        request = LogRequest(id=asked.hex, until=now + LOG_REQUEST_LASTS, level=wanted.level, lines=wanted.lines)
        if admin.store.workers.get(worker.id) is None:
            return refused(worker, REMOVED)
        admin.store.worker_logs.want(worker.id, request, now=now)
        return OrderOutcome(worker=worker.name, result="waiting", order_id=asked)

    return _change(admin, user, event, wanted.workers, act, level=wanted.level, lines=wanted.lines)


def _by_team(workers: Sequence[Worker], user: BaseUser) -> tuple[list[Worker], list[OrderOutcome]]:
    """Part the workers that the user may change from those of other teams, with what there is to say of these."""
    teams = {worker.team_name for worker in workers} if multi_team() else ()
    others = {team for team in teams if team is not None and not may(user, "PUT", team)}
    return [worker for worker in workers if worker.team_name not in others], [
        refused(worker, f"it belongs to team '{worker.team_name}', you do not")
        for worker in workers
        if worker.team_name in others
    ]
