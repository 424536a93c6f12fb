"""The routes of the REST API that change workers and queues. A route's name is what the audit log calls its changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from glob import escape
from typing import Final
from uuid import uuid4

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends

from airflow_edge.admin.audit import LOOK, OrderOutcome, look_noted
from airflow_edge.admin.fleet import REMOVED, refused
from airflow_edge.admin.pauses import PAUSE, RESUME
from airflow_edge.admin.rest.access import Services, may_change, see_team
from airflow_edge.admin.rest.acting import Changes, DryRun
from airflow_edge.admin.rest.documents import OutcomeDocument, QueueOutcomeDocument
from airflow_edge.admin.rest.parameters import Name
from airflow_edge.admin.rest.problems import PROBLEMS
from airflow_edge.admin.rest.wishes import (
    Selection,
    WithComment,
    WithConcurrency,
    WithGrace,
    WithLines,
    WithMaintenance,
    WithName,
    WithPause,
    WithQueues,
    WithResumption,
)
from airflow_edge.rules.acts.consequences import (
    Foreseen,
    JobsThere,
    foresee_grace,
    foresee_queues,
    foresee_removal,
    foresee_revocation,
)
from airflow_edge.rules.acts.testing import foresee_test
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import LogRequest, Worker

LOG_REQUEST_LASTS: Final = timedelta(seconds=30)
"""For how long a worker goes on sending its own log after it was asked for it."""
LOOK_LASTS: Final = timedelta(hours=1)
"""For how long somebody may go on looking without being noted anew."""
REVOKED: Final = "it is revoked"

changing = APIRouter(dependencies=[Depends(may_change)], responses=PROBLEMS, tags=["Change"])


@changing.post("/workers/maintenance", operation_id="request_maintenance", name="maintenance")
def request_maintenance(wanted: WithMaintenance, change: Changes) -> list[OutcomeDocument]:
    """Have workers take no new job, until they are told to leave maintenance, or until a time."""
    return change.order(wanted, Wish("maintenance", wanted.comment, until=wanted.until))


@changing.post("/workers/maintenance/comment", operation_id="update_maintenance_comment", name="maintenance comment")
def update_maintenance_comment(wanted: WithComment, change: Changes) -> list[OutcomeDocument]:
    """Change the comment on a maintenance."""
    return change.order(wanted, Wish("maintenance comment", wanted.comment))


@changing.post("/workers/maintenance/exit", operation_id="exit_maintenance", name="exit maintenance")
def exit_maintenance(wanted: Selection, change: Changes) -> list[OutcomeDocument]:
    """Have workers take jobs again."""
    return change.order(wanted, Wish("exit maintenance"))


@changing.post("/workers/shutdown", operation_id="shutdown_workers", name="shutdown")
def shutdown_workers(wanted: Selection, change: Changes) -> list[OutcomeDocument]:
    """Have workers finish their jobs and end."""
    return change.order(wanted, Wish("shutdown"))


@changing.post("/workers/restart", operation_id="restart_workers", name="restart")
def restart_workers(wanted: Selection, change: Changes) -> list[OutcomeDocument]:
    """Have workers replace their agent by a new one; their jobs go on."""
    return change.order(wanted, Wish("restart"))


@changing.post("/workers/concurrency", operation_id="set_concurrency", name="concurrency")
def set_concurrency(wanted: WithConcurrency, change: Changes) -> list[OutcomeDocument]:
    """Set how many slots workers have."""
    return change.order(wanted, Wish("concurrency", number=wanted.concurrency))


@changing.post("/workers/rename", operation_id="rename_worker", name="rename")
def rename_worker(wanted: WithName, change: Changes) -> list[OutcomeDocument]:
    """Give a worker another name."""
    taken = wanted.name != wanted.worker and change.admin.store.workers.named(wanted.name) is not None
    return change.order(Selection(workers=[wanted.worker]), Wish("rename", wanted.name), taken=taken)


@changing.post("/workers/{name}/test", operation_id="run_test_job", name="test job")
def run_test_job(name: Name, change: Changes) -> list[OutcomeDocument]:
    """Have a worker run a job that only proves that tasks could run there; nothing in Airflow's tables is written.

    It waits for a free slot for five minutes. What becomes of it is had from `GET /jobs/{job_id}`; as long as one is
    under way it is the one that everybody gets.
    """
    return change.each(Selection(workers=[escape(name)]), change.admin.fleet.test, foresee_test)


@changing.post("/workers/queues/add", operation_id="add_queues", name="add queues")
def add_queues(wanted: WithQueues, change: Changes) -> list[OutcomeDocument]:
    """Have workers serve more queues."""
    act = partial(change.admin.fleet.change_queues, add=wanted.queues)
    return change.each(wanted, act, partial(foresee_queues, add=wanted.queues), queues=wanted.queues)


@changing.post("/workers/queues/remove", operation_id="remove_queues", name="remove queues")
def remove_queues(wanted: WithQueues, change: Changes) -> list[OutcomeDocument]:
    """Have workers serve these queues no more; jobs that they have go on."""
    act = partial(change.admin.fleet.change_queues, remove=wanted.queues)
    return change.each(wanted, act, partial(foresee_queues, remove=wanted.queues), queues=wanted.queues)


@changing.post("/workers/revoke", operation_id="revoke_workers", name="revoke")
def revoke_workers(wanted: Selection, change: Changes) -> list[OutcomeDocument]:
    """Revoke workers' keys: they are cut off at once, and what they run is lost."""
    return change.each(wanted, change.admin.fleet.revoke, foresee_revocation)


@changing.post("/workers/remove", operation_id="remove_workers", name="remove")
def remove_workers(wanted: Selection, change: Changes) -> list[OutcomeDocument]:
    """Forget workers that are offline or revoked."""
    return change.each(wanted, change.admin.fleet.remove, foresee_removal)


@changing.post("/workers/disconnect-grace", operation_id="set_disconnect_grace", name="disconnect grace")
def set_disconnect_grace(wanted: WithGrace, change: Changes) -> list[OutcomeDocument]:
    """Set for how long jobs of workers are waited for while these are out of reach, or take it back; at once."""
    grace = None if wanted.seconds is None else timedelta(seconds=wanted.seconds)
    act = partial(change.admin.fleet.set_disconnect_grace, grace=grace)
    return change.each(wanted, act, partial(foresee_grace, grace=grace), seconds=wanted.seconds)


@changing.post("/workers/log", operation_id="ask_for_worker_log", name=LOOK)
def ask_for_worker_log(wanted: WithLines, change: Changes) -> list[OutcomeDocument]:
    """Ask workers for their own log: the last lines, and what is added within half a minute.

    What comes of it is had from `GET /workers/{name}/log`; a batch that ends the past that was asked for has the
    outcome's `order_id` among its `answers`, without dashes. Whoever goes on looking says that id as `continues`, and
    gets the same again; where it is another, the look was noted anew.
    """
    store = change.admin.store
    opening = uuid4()

    def act(worker: Worker) -> OrderOutcome:
        if worker.revoked_at is not None:
            return refused(worker, REVOKED)
        now = datetime.now(UTC)
        request = LogRequest(id=opening.hex, until=now + LOG_REQUEST_LASTS, level=wanted.level, lines=wanted.lines)
        if store.workers.get(worker.id) is None:
            return refused(worker, REMOVED)
        store.worker_logs.want(worker.id, request, now=now)
        return OrderOutcome(worker=worker.name, result="waiting", order_id=opening)

    def foresee(worker: Worker, _: JobsThere) -> Foreseen:
        revoked = worker.revoked_at is not None
        return Foreseen("refused", REVOKED) if revoked else Foreseen("would", "it is asked for its own log")

    if wanted.continues is not None and not wanted.lines and not change.dry_run:
        since = datetime.now(UTC) - LOOK_LASTS
        worker = change.only(wanted)
        if worker and look_noted(wanted.continues, worker.name, by=change.by, level=wanted.level, since=since):
            opening = wanted.continues
            if (outcome := act(worker)).result == "waiting":
                return [OutcomeDocument.model_validate(outcome)]
    return change.each(wanted, act, foresee, level=wanted.level, lines=wanted.lines, opening=opening.hex)


@changing.post("/queues/pause", operation_id="pause_queues", name=PAUSE)
def pause_queues(
    wanted: WithPause, user: GetUserDep, admin: Services, dry_run: DryRun = False
) -> list[QueueOutcomeDocument]:
    """Hand out no job of these queues until they are resumed; those that run go on."""
    see_team(user, wanted.team, PAUSE, queues=wanted.queues)
    done = admin.pauses.pause(
        list(dict.fromkeys(wanted.queues)), wanted.team, wanted.note, by=user.get_name(), dry_run=dry_run
    )
    return [QueueOutcomeDocument.model_validate(one) for one in done]


@changing.post("/queues/resume", operation_id="resume_queues", name=RESUME)
def resume_queues(
    wanted: WithResumption, user: GetUserDep, admin: Services, dry_run: DryRun = False
) -> list[QueueOutcomeDocument]:
    """Hand out the jobs of these queues again."""
    see_team(user, wanted.team, RESUME, queues=wanted.queues)
    done = admin.pauses.resume(list(dict.fromkeys(wanted.queues)), wanted.team, by=user.get_name(), dry_run=dry_run)
    return [QueueOutcomeDocument.model_validate(one) for one in done]
