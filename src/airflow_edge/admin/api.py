"""The REST API for people and scripts: everything that the command line and the page can do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar, cast
from uuid import UUID

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_pool, requires_access_view
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response

from airflow_edge import __version__
from airflow_edge.admin.airflow_facts import task_facts
from airflow_edge.admin.audit import record
from airflow_edge.admin.fleet import Fleet, OrderOutcome, UnknownWorkerError, is_of
from airflow_edge.admin.schemas import (
    ExplanationDocument,
    JobDocument,
    MetricsDocument,
    OrderDocument,
    OutcomeDocument,
    PageOf,
    ProblemDocument,
    QueueDocument,
    Selection,
    WithComment,
    WithConcurrency,
    WithName,
    WithQueues,
    WorkerDocument,
)
from airflow_edge.admin.teams import may_change, readable_teams
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.metrics import RESOLUTION, chart
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.overview import JobFilter, WorkerFilter
from airflow_edge.rules.worker import Worker
from airflow_edge.store.fleet import JOB_ORDERS, WORKER_ORDERS
from airflow_edge.store.store import Store
from airflow_edge.store.transactions import SessionFactory

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_PAGE: Final = 1000
MOST_POINTS: Final = 20_000
"""Values of one series in an answer: two weeks, minute by minute."""
PROBLEM_TYPE: Final = "application/problem+json"

_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: "unauthenticated",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_ready",
}

_NO_NUL: Final = r"^[^\x00]*$"
"""PostgreSQL has no such character."""
Word = Annotated[str, Query(max_length=256, pattern=_NO_NUL)]
Id = Annotated[str, Query(max_length=1000, pattern=_NO_NUL)]
Name = Annotated[str, Path(max_length=200, pattern=_NO_NUL)]
Team = Annotated[str | None, Query(max_length=50, pattern=_NO_NUL, description="Only of this team")]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many to give")]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1, description="How many to leave out before")]


def _teams(user: GetUserDep) -> frozenset[str] | None:
    return readable_teams(user)


Teams = Annotated[frozenset[str] | None, Depends(_teams)]
"""Whose workers and jobs the caller may see besides those of no team; None for everybody's."""


def create_api(session_factory: SessionFactory, patience: Patience) -> FastAPI:
    """Build the API.

    :param session_factory: gives sessions on Airflow's database
    :param patience: how long an unreachable worker is waited for
    """
    app = FastAPI(
        title="airflow-edge",
        version=__version__,
        description="Edge workers, their jobs and queues. Airflow's own authentication; every change is audited.",
    )
    fleet = Fleet(Store(session_factory))
    store = Store(session_factory)
    app.include_router(_reading(fleet, store, session_factory, patience))
    app.include_router(_changing(fleet, session_factory))
    # Its base class: what Starlette itself refuses, an unknown path say, is one too.
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(UnknownWorkerError, _not_found)
    app.add_exception_handler(SQLAlchemyError, _not_ready)
    return app


_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status.value: {"model": ProblemDocument, "content": {PROBLEM_TYPE: {}}}
    for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
}


def _reading(fleet: Fleet, store: Store, session_factory: SessionFactory, patience: Patience) -> APIRouter:
    router = APIRouter(
        dependencies=[Depends(requires_access_view(AccessView.JOBS))], responses=_PROBLEMS, tags=["Read"]
    )

    @router.get("/workers", operation_id="list_workers")
    async def list_workers(
        teams: Teams,
        name: Annotated[str | None, Query(max_length=200, pattern=_NO_NUL, description="With `*` and `?`")] = None,
        state: Annotated[list[WorkerState], Query()] = [],  # noqa: B006 - FastAPI copies defaults
        queue: Word | None = None,
        team: Team = None,
        revoked: bool = True,
        order_by: Annotated[str, Query(pattern=_order_pattern(WORKER_ORDERS))] = "name",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> PageOf[WorkerDocument]:
        """Give workers, filtered, sorted and in pages."""
        wanted = WorkerFilter(
            name_pattern=name, states=frozenset(state), queue=queue, team_name=team, teams=teams, revoked=revoked
        )
        page = await _run(lambda: store.fleet.find_workers(wanted, order=order_by, limit=limit, offset=offset))
        return PageOf(items=[WorkerDocument.of(view) for view in page.items], total=page.total)

    @router.get("/workers/{name}/orders", operation_id="list_orders")
    async def list_orders(name: Name, teams: Teams, limit: Limit = 100) -> list[OrderDocument]:
        """Give what was wanted of a worker lately, newest first, and what became of it."""
        worker = await _run(lambda: fleet.named(name, teams=teams))
        return [OrderDocument.of(order) for order in await _run(lambda: store.orders.newest(worker.id, limit=limit))]

    @router.get("/workers/{name}/metrics", operation_id="get_metrics")
    async def get_metrics(
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
        worker = await _run(lambda: fleet.named(name, teams=teams))
        begin, end = int(first.timestamp()), int(last.timestamp())
        # The first value may begin a little before.
        begin -= begin % resolution
        chunks = await _run(
            lambda: store.metrics.read(worker.id, since=begin // RESOLUTION, until=-(-end // RESOLUTION))
        )
        found = chart(chunks, since=begin, until=end, resolution=resolution)
        return MetricsDocument(worker=worker.name, resolution=resolution, times=found.times, series=dict(found.series))

    @router.get("/orders/{order_id}", operation_id="get_order")
    async def get_order(order_id: UUID, teams: Teams) -> OutcomeDocument:
        """Say what has become of an order to a worker."""
        outcome = await _run(lambda: fleet.outcome(order_id, teams=teams))
        if outcome is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no order {order_id}; old ones are deleted.")
        return OutcomeDocument.model_validate(outcome)

    @router.get("/jobs", operation_id="list_jobs")
    async def list_jobs(
        teams: Teams,
        dag_id: Id | None = None,
        run_id: Id | None = None,
        task_id: Id | None = None,
        queue: Word | None = None,
        worker: Word | None = None,
        team: Team = None,
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
        page = await _run(lambda: store.fleet.find_jobs(wanted, order=order_by, limit=limit, offset=offset))
        return PageOf(items=[JobDocument.model_validate(job) for job in page.items], total=page.total)

    @router.get("/queues", operation_id="list_queues")
    async def list_queues(teams: Teams) -> list[QueueDocument]:
        """Give every queue: what waits and runs in it, and the workers and free slots that serve it."""
        found = await _run(fleet.queues)
        return [QueueDocument.model_validate(queue) for queue in found if is_of(queue.team_name, teams)]

    @router.get("/explanation", operation_id="explain_job")
    async def explain_job(
        dag_id: Id,
        run_id: Id,
        task_id: Id,
        teams: Teams,
        map_index: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
    ) -> ExplanationDocument:
        """Say in one sentence why a task is not running."""

        def look() -> ExplanationDocument:
            with session_factory() as session:
                task = task_facts(session, dag_id, run_id, task_id, map_index)
            if task is not None and not is_of(task.team_name, teams):
                task = None
            job = fleet.newest_job(dag_id, run_id, task_id, map_index)
            return ExplanationDocument.model_validate(fleet.explain(task, job, patience=patience))

        return await _run(look)

    return router


def _changing(fleet: Fleet, session_factory: SessionFactory) -> APIRouter:
    router = APIRouter(
        dependencies=[Depends(requires_access_view(AccessView.JOBS)), Depends(requires_access_pool("PUT"))],
        responses=_PROBLEMS,
        tags=["Change"],
    )

    async def change(
        user: GetUserDep,
        event: str,
        patterns: Sequence[str],
        act: Callable[[list[Worker]], list[OrderOutcome]],
        **wish: object,
    ) -> list[OutcomeDocument]:
        def work() -> list[OrderOutcome]:
            own, others = _by_team(fleet.select(patterns), user)
            outcomes: list[OrderOutcome] = []
            try:
                for worker in own:
                    outcomes += act([worker])
            finally:
                # What was done before something failed was done all the same.
                outcomes += others
                with session_factory() as session:
                    record(session, event, by=user.get_name(), wish=wish, outcomes=outcomes)
            return outcomes

        return [OutcomeDocument.model_validate(outcome) for outcome in await _run(work)]

    async def order(user: GetUserDep, patterns: Sequence[str], wish: Wish) -> list[OutcomeDocument]:
        said = {"text": wish.text} if wish.text else {}
        number = {} if wish.number is None else {"number": wish.number}
        by = user.get_name()
        return await change(
            user, wish.kind, patterns, lambda workers: fleet.give_order(workers, wish, by=by), **said, **number
        )

    @router.post("/workers/maintenance", operation_id="request_maintenance")
    async def request_maintenance(wanted: WithComment, user: GetUserDep) -> list[OutcomeDocument]:
        """Have workers take no new job, until they are told to leave maintenance."""
        return await order(user, wanted.workers, Wish("maintenance", wanted.comment))

    @router.post("/workers/maintenance/comment", operation_id="update_maintenance_comment")
    async def update_maintenance_comment(wanted: WithComment, user: GetUserDep) -> list[OutcomeDocument]:
        """Change the comment on a maintenance."""
        return await order(user, wanted.workers, Wish("maintenance comment", wanted.comment))

    @router.post("/workers/maintenance/exit", operation_id="exit_maintenance")
    async def exit_maintenance(wanted: Selection, user: GetUserDep) -> list[OutcomeDocument]:
        """Have workers take jobs again."""
        return await order(user, wanted.workers, Wish("exit maintenance"))

    @router.post("/workers/shutdown", operation_id="shutdown_workers")
    async def shutdown_workers(wanted: Selection, user: GetUserDep) -> list[OutcomeDocument]:
        """Have workers finish their jobs and end."""
        return await order(user, wanted.workers, Wish("shutdown"))

    @router.post("/workers/restart", operation_id="restart_workers")
    async def restart_workers(wanted: Selection, user: GetUserDep) -> list[OutcomeDocument]:
        """Have workers replace their agent by a new one; their jobs go on."""
        return await order(user, wanted.workers, Wish("restart"))

    @router.post("/workers/concurrency", operation_id="set_concurrency")
    async def set_concurrency(wanted: WithConcurrency, user: GetUserDep) -> list[OutcomeDocument]:
        """Set how many slots workers have."""
        return await order(user, wanted.workers, Wish("concurrency", number=wanted.concurrency))

    @router.post("/workers/rename", operation_id="rename_worker")
    async def rename_worker(wanted: WithName, user: GetUserDep) -> list[OutcomeDocument]:
        """Give a worker another name."""
        return await order(user, [wanted.worker], Wish("rename", wanted.name))

    @router.post("/workers/queues/add", operation_id="add_queues")
    async def add_queues(wanted: WithQueues, user: GetUserDep) -> list[OutcomeDocument]:
        """Have workers serve more queues."""
        return await change(
            user, "add queues", wanted.workers, lambda some: fleet.add_queues(some, wanted.queues), queues=wanted.queues
        )

    @router.post("/workers/queues/remove", operation_id="remove_queues")
    async def remove_queues(wanted: WithQueues, user: GetUserDep) -> list[OutcomeDocument]:
        """Have workers serve these queues no more; jobs that they have go on."""
        return await change(
            user,
            "remove queues",
            wanted.workers,
            lambda some: fleet.remove_queues(some, wanted.queues),
            queues=wanted.queues,
        )

    @router.post("/workers/revoke", operation_id="revoke_workers")
    async def revoke_workers(wanted: Selection, user: GetUserDep) -> list[OutcomeDocument]:
        """Revoke workers' keys: they are cut off at once, and what they run is lost."""
        return await change(user, "revoke", wanted.workers, fleet.revoke)

    @router.post("/workers/remove", operation_id="remove_workers")
    async def remove_workers(wanted: Selection, user: GetUserDep) -> list[OutcomeDocument]:
        """Forget workers that are offline or revoked."""
        return await change(user, "remove", wanted.workers, fleet.remove)

    return router


def _by_team(workers: Sequence[Worker], user: BaseUser) -> tuple[list[Worker], list[OrderOutcome]]:
    """Part the workers that the user may change from those of other teams, with what there is to say of these."""
    allowed = {team: may_change(user, team) for team in {worker.team_name for worker in workers}}
    return [worker for worker in workers if allowed[worker.team_name]], [
        OrderOutcome(
            worker=worker.name, result="refused", detail=f"it belongs to team '{worker.team_name}', you do not"
        )
        for worker in workers
        if not allowed[worker.team_name]
    ]


async def _run(work: Callable[[], T]) -> T:
    """Use the database in a thread of its own: the event loop serves workers too."""
    return await asyncio.to_thread(work)


def _order_pattern(names: frozenset[str]) -> str:
    return f"^-?({'|'.join(sorted(names))})$"


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    code = _CODES.get(HTTPStatus(status), "malformed")
    body = {"status": status, "code": code, "title": HTTPStatus(status).phrase, "detail": detail}
    return JSONResponse(body, status, headers, PROBLEM_TYPE)


async def _refused(_: Request, error: Exception) -> Response:
    refusal = cast("StarletteHTTPException", error)
    return _problem(refusal.status_code, str(refusal.detail), refusal.headers)


async def _malformed(_: Request, error: Exception) -> Response:
    first = cast("RequestValidationError", error).errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{where}: {first['msg']}")


async def _not_found(_: Request, error: Exception) -> Response:
    return _problem(HTTPStatus.NOT_FOUND, str(error))


async def _not_ready(_: Request, error: Exception) -> Response:
    log.error("The database did not do what it was asked", exc_info=error)
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "Airflow's database did not do what it was asked; try again.")
