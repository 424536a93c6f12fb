"""The REST API for people and scripts: everything that the command line and the page can do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final, Literal, TypeVar, cast
from uuid import UUID

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, PoolDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_pool, requires_access_view
from airflow.models.team import Team
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request
from pydantic import AwareDatetime

from airflow_edge import __version__
from airflow_edge.admin.config import multi_team, session
from airflow_edge.admin.explaining import explain_task
from airflow_edge.admin.fleet import Fleet, OrderOutcome, is_of, record, refused
from airflow_edge.admin.problems import PROBLEMS, add_problem_handlers
from airflow_edge.admin.schemas import (
    ExplanationDocument,
    JobDocument,
    MetricsDocument,
    OrderDocument,
    OutcomeDocument,
    PageOf,
    QueueDocument,
    Selection,
    WithComment,
    WithConcurrency,
    WithName,
    WithQueues,
    WorkerDocument,
)
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.metrics import RESOLUTION, chart
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.overview import JobFilter, WorkerFilter
from airflow_edge.rules.worker import Worker
from airflow_edge.store.fleet import JOB_ORDERS, WORKER_ORDERS
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_PAGE: Final = 1000
MOST_POINTS: Final = 20_000
"""Values of one series in an answer: two weeks, minute by minute."""

_NO_NUL: Final = r"^[^\x00]*$"
"""PostgreSQL has no such character."""
Word = Annotated[str, Query(max_length=256, pattern=_NO_NUL)]
Id = Annotated[str, Query(max_length=1000, pattern=_NO_NUL)]
Name = Annotated[str, Path(max_length=200, pattern=_NO_NUL)]
OfTeam = Annotated[str | None, Query(max_length=50, pattern=_NO_NUL, description="Only of this team")]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many to give")]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1, description="How many to leave out before")]


class AdminServices:
    """What the routes do their work with, on Airflow's own configuration and database."""

    def __init__(self) -> None:
        self.store = Store(session)
        self.fleet = Fleet(self.store)


def _services(request: Request) -> AdminServices:
    return cast("AdminServices", request.app.state.services)


Services = Annotated[AdminServices, Depends(_services)]


def _may(user: BaseUser, method: Literal["GET", "PUT"], team_name: str) -> bool:
    # As the team's pools: Airflow's auth manager knows who belongs to which team.
    return get_auth_manager().is_authorized_pool(method=method, user=user, details=PoolDetails(team_name=team_name))


def _teams(user: GetUserDep) -> frozenset[str] | None:
    if not multi_team():
        return None
    return frozenset(name for name in Team.get_all_team_names() if _may(user, "GET", name))


Teams = Annotated[frozenset[str] | None, Depends(_teams)]
"""Whose workers and jobs the caller may see besides those of no team; None for everybody's."""


def _order_pattern(names: frozenset[str]) -> str:
    return f"^-?({'|'.join(sorted(names))})$"


reading = APIRouter(dependencies=[Depends(requires_access_view(AccessView.JOBS))], responses=PROBLEMS, tags=["Read"])


@reading.get("/workers", operation_id="list_workers")
def list_workers(
    admin: Services,
    teams: Teams,
    name: Annotated[str | None, Query(max_length=200, pattern=_NO_NUL, description="With `*` and `?`")] = None,
    state: Annotated[list[WorkerState], Query()] = [],  # noqa: B006 - FastAPI copies defaults
    queue: Word | None = None,
    team: OfTeam = None,
    revoked: bool = True,
    order_by: Annotated[str, Query(pattern=_order_pattern(WORKER_ORDERS))] = "name",
    limit: Limit = 100,
    offset: Offset = 0,
) -> PageOf[WorkerDocument]:
    """Give workers, filtered, sorted and in pages."""
    wanted = WorkerFilter(
        name_pattern=name, states=frozenset(state), queue=queue, team_name=team, teams=teams, revoked=revoked
    )
    page = admin.store.fleet.find_workers(wanted, order=order_by, limit=limit, offset=offset)
    return PageOf(items=[WorkerDocument.of(view) for view in page.items], total=page.total)


@reading.get("/workers/{name}/orders", operation_id="list_orders")
def list_orders(admin: Services, name: Name, teams: Teams, limit: Limit = 100) -> list[OrderDocument]:
    """Give what was wanted of a worker lately, newest first, and what became of it."""
    worker = admin.fleet.named(name, teams=teams)
    orders = admin.store.orders.newest(worker.id, limit=limit)
    return [OrderDocument.model_validate(order) for order in orders]


@reading.get("/workers/{name}/metrics", operation_id="get_metrics")
def get_metrics(
    admin: Services,
    name: Name,
    teams: Teams,
    since: Annotated[AwareDatetime | None, Query(description="Default: an hour before `until`")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Default: now")] = None,
    resolution: Annotated[
        int,
        Query(ge=RESOLUTION, le=86_400, multiple_of=RESOLUTION, description="Seconds between two values"),
    ] = RESOLUTION,
) -> MetricsDocument:
    """Give a worker's measurements over a time, for charts."""
    last = until or datetime.now(UTC)
    try:
        first = since or last - timedelta(hours=1)
        points = (last - first).total_seconds() / resolution
    except OverflowError:
        points = -1.0
    if not 0 < points <= MOST_POINTS:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"`since` has to be before `until`, by at most {MOST_POINTS} values: ask for a coarser `resolution`.",
        )
    worker = admin.fleet.named(name, teams=teams)
    begin, end = int(first.timestamp()), int(last.timestamp())
    # The first value may begin a little before.
    begin -= begin % resolution
    chunks = admin.store.metrics.read(worker.id, since=begin // RESOLUTION, until=-(-end // RESOLUTION))
    found = chart(chunks, since=begin, until=end, resolution=resolution)
    return MetricsDocument(worker=worker.name, resolution=resolution, times=found.times, series=dict(found.series))


@reading.get("/orders/{order_id}", operation_id="get_order")
def get_order(admin: Services, order_id: UUID, teams: Teams) -> OutcomeDocument:
    """Say what has become of an order to a worker."""
    outcome = admin.fleet.outcome(order_id, teams=teams)
    if outcome is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no order {order_id}; old ones are deleted.")
    return OutcomeDocument.model_validate(outcome)


@reading.get("/jobs", operation_id="list_jobs")
def list_jobs(
    admin: Services,
    teams: Teams,
    dag_id: Id | None = None,
    run_id: Id | None = None,
    task_id: Id | None = None,
    queue: Word | None = None,
    worker: Word | None = None,
    team: OfTeam = None,
    state: Annotated[list[JobState], Query()] = [],  # noqa: B006 - FastAPI copies defaults
    order_by: Annotated[str, Query(pattern=_order_pattern(JOB_ORDERS))] = "-queued_at",
    limit: Limit = 100,
    offset: Offset = 0,
) -> PageOf[JobDocument]:
    """Give jobs, filtered, sorted and in pages."""
    wanted = JobFilter(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        queue=queue,
        worker=worker,
        team_name=team,
        teams=teams,
        states=frozenset(state),
    )
    page = admin.store.fleet.find_jobs(wanted, order=order_by, limit=limit, offset=offset)
    return PageOf(items=[JobDocument.model_validate(job) for job in page.items], total=page.total)


@reading.get("/queues", operation_id="list_queues")
def list_queues(admin: Services, teams: Teams) -> list[QueueDocument]:
    """Give every queue: what waits and runs in it, and the workers and free slots that serve it."""
    return [QueueDocument.model_validate(queue) for queue in admin.fleet.queues() if is_of(queue.team_name, teams)]


@reading.get("/explanation", operation_id="explain_job")
def explain_job(
    admin: Services,
    dag_id: Id,
    run_id: Id,
    task_id: Id,
    teams: Teams,
    map_index: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
) -> ExplanationDocument:
    """Say in one sentence why a task is not running."""
    found = explain_task(admin.store, dag_id, run_id, task_id, map_index, teams=teams)
    return ExplanationDocument.model_validate(found)


changing = APIRouter(
    dependencies=[Depends(requires_access_view(AccessView.JOBS)), Depends(requires_access_pool("PUT"))],
    responses=PROBLEMS,
    tags=["Change"],
)


def _change(
    admin: AdminServices,
    user: BaseUser,
    event: str,
    patterns: Sequence[str],
    act: Callable[[Worker], OrderOutcome],
    **wish: object,
) -> list[OutcomeDocument]:
    own, outcomes_of_others = _by_team(admin.fleet.select(patterns), user)
    outcomes: list[OrderOutcome] = []
    try:
        for worker in own:
            outcomes.append(act(worker))
    finally:
        # What was done before something failed was done all the same.
        outcomes += outcomes_of_others
        with session() as airflow:
            record(airflow, event, by=user.get_name(), wish=wish, outcomes=outcomes)
    return [OutcomeDocument.model_validate(outcome) for outcome in outcomes]


def _order(admin: AdminServices, user: BaseUser, patterns: Sequence[str], wish: Wish) -> list[OutcomeDocument]:
    def act(worker: Worker) -> OrderOutcome:
        return admin.fleet.give_order(worker, wish, by=user.get_name())

    return _change(admin, user, wish.kind, patterns, act, text=wish.text, number=wish.number)


@changing.post("/workers/maintenance", operation_id="request_maintenance")
def request_maintenance(wanted: WithComment, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Have workers take no new job, until they are told to leave maintenance."""
    return _order(admin, user, wanted.workers, Wish("maintenance", wanted.comment))


@changing.post("/workers/maintenance/comment", operation_id="update_maintenance_comment")
def update_maintenance_comment(wanted: WithComment, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Change the comment on a maintenance."""
    return _order(admin, user, wanted.workers, Wish("maintenance comment", wanted.comment))


@changing.post("/workers/maintenance/exit", operation_id="exit_maintenance")
def exit_maintenance(wanted: Selection, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Have workers take jobs again."""
    return _order(admin, user, wanted.workers, Wish("exit maintenance"))


@changing.post("/workers/shutdown", operation_id="shutdown_workers")
def shutdown_workers(wanted: Selection, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Have workers finish their jobs and end."""
    return _order(admin, user, wanted.workers, Wish("shutdown"))


@changing.post("/workers/restart", operation_id="restart_workers")
def restart_workers(wanted: Selection, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Have workers replace their agent by a new one; their jobs go on."""
    return _order(admin, user, wanted.workers, Wish("restart"))


@changing.post("/workers/concurrency", operation_id="set_concurrency")
def set_concurrency(wanted: WithConcurrency, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Set how many slots workers have."""
    return _order(admin, user, wanted.workers, Wish("concurrency", number=wanted.concurrency))


@changing.post("/workers/rename", operation_id="rename_worker")
def rename_worker(wanted: WithName, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Give a worker another name."""
    return _order(admin, user, [wanted.worker], Wish("rename", wanted.name))


@changing.post("/workers/queues/add", operation_id="add_queues")
def add_queues(wanted: WithQueues, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Have workers serve more queues."""
    act = partial(admin.fleet.change_queues, add=wanted.queues)
    return _change(admin, user, "add queues", wanted.workers, act, queues=wanted.queues)


@changing.post("/workers/queues/remove", operation_id="remove_queues")
def remove_queues(wanted: WithQueues, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Have workers serve these queues no more; jobs that they have go on."""
    act = partial(admin.fleet.change_queues, remove=wanted.queues)
    return _change(admin, user, "remove queues", wanted.workers, act, queues=wanted.queues)


@changing.post("/workers/revoke", operation_id="revoke_workers")
def revoke_workers(wanted: Selection, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Revoke workers' keys: they are cut off at once, and what they run is lost."""
    return _change(admin, user, "revoke", wanted.workers, admin.fleet.revoke)


@changing.post("/workers/remove", operation_id="remove_workers")
def remove_workers(wanted: Selection, user: GetUserDep, admin: Services) -> list[OutcomeDocument]:
    """Forget workers that are offline or revoked."""
    return _change(admin, user, "remove", wanted.workers, admin.fleet.remove)


def create_app() -> FastAPI:
    """Build the API that Airflow's API server mounts; nothing is connected to before it is called."""
    app = FastAPI(
        title="airflow-edge",
        version=__version__,
        description="Edge workers, their jobs and queues. Airflow's own authentication; every change is audited.",
    )
    app.state.services = AdminServices()
    app.include_router(reading)
    app.include_router(changing)
    add_problem_handlers(app)
    return app


def _by_team(workers: Sequence[Worker], user: BaseUser) -> tuple[list[Worker], list[OrderOutcome]]:
    """Part the workers that the user may change from those of other teams, with what there is to say of these."""
    teams = {worker.team_name for worker in workers} if multi_team() else ()
    others = {team for team in teams if team is not None and not _may(user, "PUT", team)}
    return [worker for worker in workers if worker.team_name not in others], [
        refused(worker, f"it belongs to team '{worker.team_name}', you do not")
        for worker in workers
        if worker.team_name in others
    ]
