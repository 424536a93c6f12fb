"""The routes of the REST API that show the fleet: at a glance, its workers and its queues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query

from airflow_edge.admin.config import read_patience
from airflow_edge.admin.describing import describe_workers, known_teams
from airflow_edge.admin.fleet import UnknownWorkerError
from airflow_edge.admin.rest.access import Services, Teams, may_read
from airflow_edge.admin.rest.documents import NO_NUL, PageOf
from airflow_edge.admin.rest.fleet_documents import (
    LONGEST_WITH_SPARKS,
    OneWorkerDocument,
    OverviewDocument,
    QueueDocument,
    WorkerDocument,
)
from airflow_edge.admin.rest.parameters import Kind, Limit, Name, Offset, OfTeam, QueueName, Search, Word, order_pattern
from airflow_edge.admin.rest.problems import PROBLEMS
from airflow_edge.admin.rest.wishes import Match
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.attention import needs_a_person
from airflow_edge.rules.fleet.choosing import WORKER_ORDERS
from airflow_edge.rules.fleet.queues import QUEUE_ORDERS, choose_queues, queues
from airflow_edge.rules.fleet.remarks import remark_on_queue, remarks
from airflow_edge.rules.fleet.standing import Load, Reach, Stance, count_workers
from airflow_edge.rules.metrics import minute_of
from airflow_edge.store.fleet.sheets import WorkerSheet

showing = APIRouter(dependencies=[Depends(may_read)], responses=PROBLEMS, tags=["Read"])


@showing.get("/overview", operation_id="get_overview")
def get_overview(admin: Services, teams: Teams) -> OverviewDocument:
    """Give the fleet at a glance, and what of it needs a person."""
    now = datetime.now(UTC)
    workers, demands, gateways = admin.store.fleet.overview(teams=teams, patience=read_patience())
    counts, slots = count_workers(workers)
    away = [one.last_seen_at for one in workers if one.link is Reach.OUT_OF_REACH and one.last_seen_at]
    waiting = [demand for demand in demands if demand.oldest_queued_at is not None]
    oldest = min(waiting, key=lambda demand: demand.oldest_queued_at or now, default=None)
    return OverviewDocument.model_validate(
        {
            "workers": counts,
            "out_of_reach_since": min(away, default=None),
            "slots": slots,
            "jobs": {
                "queued": sum(demand.queued for demand in demands),
                "running": sum(demand.running for demand in demands),
                "oldest_queued_at": oldest and oldest.oldest_queued_at,
                "oldest_queue": oldest and oldest.queue,
            },
            "attention": needs_a_person(workers, queues(demands, workers), gateways, known_teams(), now),
        }
    )


@showing.get("/workers", operation_id="list_workers")
def list_workers(
    admin: Services,
    teams: Teams,
    name: Annotated[str | None, Query(max_length=200, pattern=NO_NUL, description="With `*` and `?`")] = None,
    search: Search = None,
    state: Annotated[list[WorkerState], Query()] = [],  # noqa: B006 - FastAPI copies defaults
    link: Annotated[list[Reach], Query()] = [],  # noqa: B006
    stance: Annotated[list[Stance], Query()] = [],  # noqa: B006
    load: Annotated[list[Load], Query()] = [],  # noqa: B006
    attention: Kind = None,
    queue: Word | None = None,
    team: OfTeam = None,
    revoked: bool = True,
    order_by: Annotated[str, Query(pattern=order_pattern(WORKER_ORDERS))] = "name",
    limit: Limit = 100,
    offset: Offset = 0,
) -> PageOf[WorkerDocument]:
    """Give workers, filtered, sorted and in pages."""
    wanted = Match(
        name=name,
        search=search,
        state=state,
        link=link,
        stance=stance,
        load=load,
        attention=attention,
        queue=queue,
        team=team,
        revoked=revoked,
    ).filter(teams)
    now, known = datetime.now(UTC), known_teams()
    page = admin.store.fleet.page_of_workers(
        wanted, read_patience(), order=order_by, limit=limit, offset=offset, known_teams=known, now=now
    )
    sparks, minute = limit <= LONGEST_WITH_SPARKS, minute_of(now.timestamp())
    described = _described(page.items, known, now)
    items = [
        WorkerDocument.of(sheet, facts, remarks(sheet.glance, known, now), now=now, minute=minute, sparks=sparks)
        for sheet, facts in zip(page.items, described, strict=True)
    ]
    return PageOf(items=items, total=page.total)


@showing.get("/workers/{name}", operation_id="get_worker")
def get_worker(admin: Services, name: Name, teams: Teams) -> OneWorkerDocument:
    """Give one worker."""
    now, known = datetime.now(UTC), known_teams()
    sheet = admin.store.fleet.sheet_of(name, read_patience(), teams=teams, now=now)
    if sheet is None:
        raise UnknownWorkerError(f"There is no worker '{name}'; see: airflow edge list-workers")
    [facts] = _described([sheet], known, now)
    about = remarks(sheet.glance, known, now)
    return OneWorkerDocument.alone(sheet, facts, about, now=now, minute=minute_of(now.timestamp()))


@showing.get("/queues", operation_id="list_queues")
def list_queues(
    admin: Services,
    teams: Teams,
    search: Search = None,
    attention: Kind = None,
    team: OfTeam = None,
    order_by: Annotated[str, Query(pattern=order_pattern(QUEUE_ORDERS))] = "queue",
    limit: Limit = 100,
    offset: Offset = 0,
) -> PageOf[QueueDocument]:
    """Give queues: what waits and runs in each, and the workers and free slots that serve it."""
    now = datetime.now(UTC)
    workers, demands, _ = admin.store.fleet.overview(teams=teams, now=now)
    found = [
        (queue, remark_on_queue(queue, now))
        for queue in choose_queues(queues(demands, workers), search=search, team=team, order=order_by)
    ]
    if attention is not None:
        found = [(queue, said) for queue, said in found if said is not None and said.kind == attention]
    shown = found[offset : offset + limit]
    return PageOf(items=[QueueDocument.of(queue, said) for queue, said in shown], total=len(found))


@showing.get("/queues/{queue:path}", operation_id="get_queue")
def get_queue(
    admin: Services,
    queue: QueueName,
    teams: Teams,
    team: OfTeam = None,
) -> QueueDocument:
    """Give one queue: of a team, or of none."""
    now = datetime.now(UTC)
    workers, demands, _ = admin.store.fleet.overview(teams=teams, now=now)
    found = [one for one in queues(demands, workers) if (one.queue, one.team_name) == (queue, team)]
    if not found:
        whose = f" of team '{team}'" if team is not None else ""
        raise HTTPException(
            HTTPStatus.NOT_FOUND, f"There is no queue '{queue}'{whose}: no worker serves it and no job is in it."
        )
    return QueueDocument.of(found[0], remark_on_queue(found[0], now))


def _described(sheets: Sequence[WorkerSheet], known: frozenset[str] | None, now: datetime) -> list[dict[str, Any]]:
    awaited = {sheet.view.worker.id: sheet.awaited for sheet in sheets if sheet.awaited is not None}
    return describe_workers([sheet.view for sheet in sheets], awaited, known, now)
