"""The routes of the REST API that show workers, jobs and queues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import AwareDatetime

from airflow_edge.admin.config import read_patience
from airflow_edge.admin.explaining import denied_to, explain_task
from airflow_edge.admin.fleet import is_of
from airflow_edge.admin.rest.access import Services, Teams, may_read
from airflow_edge.admin.rest.documents import (
    EventDocument,
    ExplanationDocument,
    JobDocument,
    LogRecordDocument,
    MetricsDocument,
    OneJobDocument,
    OrderDocument,
    OutcomeDocument,
    PageOf,
    WorkerLogDocument,
)
from airflow_edge.admin.rest.parameters import Id, Limit, MapIndex, Name, Offset, OfTeam, Search, Word, order_pattern
from airflow_edge.admin.rest.problems import PROBLEMS
from airflow_edge.protocol.logs.worker_log import Record, level_name
from airflow_edge.protocol.states import JOB_OPEN, JobState
from airflow_edge.rules.logs.worker_log import WorkerLogReader
from airflow_edge.rules.metrics import RESOLUTION, chart
from airflow_edge.rules.overview import JobFilter
from airflow_edge.store.fleet.fleet import JOB_ORDERS

MOST_POINTS: Final = 20_000
"""Values of one series in an answer: two weeks, minute by minute."""

reading = APIRouter(dependencies=[Depends(may_read)], responses=PROBLEMS, tags=["Read"])


@reading.get("/workers/{name}/log", operation_id="get_worker_log")
def get_worker_log(
    admin: Services,
    name: Name,
    teams: Teams,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="`next` of the last answer, to go on from there")] = 0,
    level: Annotated[int, Query(ge=0, le=100, description="The least level, by the numbers of Python's logging")] = 0,
) -> WorkerLogDocument:
    """Give what the centre has of a worker's own log, in the order in which it came.

    That is what the site sends by itself, and what it was asked for with `POST /workers/log`.
    """
    worker = admin.fleet.named(name, teams=teams)
    reader = WorkerLogReader(level)
    reader.after = after
    batches = admin.store.worker_logs.read(worker.id, after=after)
    found = list(reader.read(batches))
    return WorkerLogDocument(
        worker=worker.name,
        records=[
            LogRecordDocument(
                time=datetime.fromtimestamp(one.time, UTC),
                level=level_name(one.level),
                source=one.source,
                text=one.text,
            )
            for one in found
            if isinstance(one, Record)
        ],
        lost=sum(one.count for one in found if not isinstance(one, Record)),
        answers=sorted({batch.answers for batch in batches if batch.answers}),
        next=reader.after,
    )


@reading.get("/workers/{name}/orders", operation_id="list_orders")
def list_orders(admin: Services, name: Name, teams: Teams, limit: Limit = 100) -> list[OrderDocument]:
    """Give what was wanted of a worker lately, newest first, and what became of it."""
    worker = admin.fleet.named(name, teams=teams)
    orders = admin.store.orders.newest(worker.id, limit=limit)
    return [OrderDocument.model_validate(order) for order in orders]


@reading.get("/workers/{name}/events", operation_id="list_events")
def list_events(
    admin: Services,
    name: Name,
    teams: Teams,
    limit: Limit = 100,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="The `id` of the last one, to go on from there")
    ] = None,
) -> PageOf[EventDocument]:
    """Give what has happened to a worker, newest first, and how much of it is remembered in all."""
    worker = admin.fleet.named(name, teams=teams)
    page = admin.store.events.newest(worker.id, limit=limit, before=before)
    return PageOf(items=[EventDocument.model_validate(event) for event in page.events], total=page.total)


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
    map_index: MapIndex | None = None,
    queue: Word | None = None,
    worker: Word | None = None,
    team: OfTeam = None,
    search: Search = None,
    state: Annotated[list[JobState], Query()] = [],  # noqa: B006 - FastAPI copies defaults
    order_by: Annotated[str, Query(pattern=order_pattern(JOB_ORDERS))] = "-queued_at",
    limit: Limit = 100,
    offset: Offset = 0,
) -> PageOf[JobDocument]:
    """Give jobs, filtered, sorted and in pages."""
    wanted = JobFilter(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=map_index,
        queue=queue,
        worker=worker,
        team_name=team,
        teams=teams,
        states=frozenset(state),
        search=search,
    )
    page = admin.store.fleet.find_jobs(wanted, order=order_by, limit=limit, offset=offset)
    return PageOf(items=[JobDocument.model_validate(job) for job in page.items], total=page.total)


@reading.get("/jobs/{job_id}", operation_id="get_job")
def get_job(admin: Services, job_id: UUID, teams: Teams) -> OneJobDocument:
    """Give one job with its way so far."""
    found = admin.store.fleet.history_of(job_id)
    if found is None or not is_of(found.job.team_name, teams):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no job {job_id}; old ones are deleted.")
    job, why, lines = found.job, None, None
    if job.kind == "test":
        lines = admin.fleet.test_log(job)
        if job.state in JOB_OPEN:
            why = admin.fleet.explain_test(job, patience=read_patience())
    elif job.state in JOB_OPEN and job.kind == "task":
        why = explain_task(admin.store, job.dag_id, job.run_id, job.task_id, job.map_index, teams=teams)
    facts = {name: getattr(job, name) for name in JobDocument.model_fields}
    more = {"journey": found.journey, "explanation": why, "denied": denied_to(job), "log": lines}
    return OneJobDocument.model_validate(facts | more)


@reading.get("/explanation", operation_id="explain_job")
def explain_job(
    admin: Services,
    dag_id: Id,
    run_id: Id,
    task_id: Id,
    teams: Teams,
    map_index: MapIndex = -1,
) -> ExplanationDocument:
    """Say in one sentence why a task is not running."""
    found = explain_task(admin.store, dag_id, run_id, task_id, map_index, teams=teams)
    return ExplanationDocument.model_validate(found)
