"""All workers and all queues at once: one statement each, with no more than is needed to count, choose and sort."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, cast, false, func, literal_column, null, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from airflow_edge.protocol.states import JOB_ENDED, JOB_HELD, JobState
from airflow_edge.rules.acts.pausing import QueuePause
from airflow_edge.rules.fleet.closing import Closure, read_closures
from airflow_edge.rules.fleet.queues import QueueDemand, QueueKey, rate_window
from airflow_edge.rules.fleet.standing import Glance
from airflow_edge.rules.metrics import MINUTES_PER_CHUNK, SERIES, Chunk, unpack
from airflow_edge.rules.orders import OrderState
from airflow_edge.rules.processes import GatewaySigns
from airflow_edge.rules.worker import OtherInstance, read_others
from airflow_edge.store.columns import UtcDateTime, to_duration
from airflow_edge.store.tables import JobRow, ProcessRow, QueuePauseRow, WorkerMetricRow, WorkerOrderRow, WorkerRow

HELD_HERE: Final = (JobRow.state.in_(JOB_HELD), JobRow.released.is_(False), JobRow.instance.is_(None))
"""Jobs that take slots of their workers."""

_ALIKE: Final = (
    cast(WorkerRow.id, Text).label("key"),
    WorkerRow.name,
    WorkerRow.team_name,
    WorkerRow.state,
    WorkerRow.silent,
    WorkerRow.revoked_at,
    WorkerRow.enrolled_at,
    WorkerRow.last_seen_at,
    WorkerRow.link_id.is_not(None).label("has_link"),
    WorkerRow.concurrency,
    WorkerRow.conditions,
    WorkerRow.warnings,
    WorkerRow.version_refused,
    WorkerRow.version_warning,
    WorkerRow.maintenance_cause,
    WorkerRow.maintenance_comment,
    WorkerRow.maintenance_by,
    WorkerRow.maintenance_until,
    WorkerRow.agent_version,
    WorkerRow.airflow_version,
    WorkerRow.disconnect_grace,
    WorkerRow.closed,
)


def glances(session: Session, *, teams: Collection[str] | None = None, name: str | None = None) -> list[Glance]:
    """Give all workers, or the one of a name.

    :param teams: only of these teams and of none; None for all
    """
    held = (
        select(JobRow.worker_id, func.sum(JobRow.slots).label("slots"), func.count().label("jobs"))
        .where(*HELD_HERE)
        .group_by(JobRow.worker_id)
        .subquery()
    )
    waiting = (
        select(WorkerOrderRow.worker_id, func.min(WorkerOrderRow.asked_at).label("asked_at"))
        .where(WorkerOrderRow.state == OrderState.WAITING)
        .group_by(WorkerOrderRow.worker_id)
        .subquery()
    )
    # As texts: there are few different ones, and each is read once.
    names = [cast(column, Text) for column in (WorkerRow.queues, WorkerRow.asked_queues, WorkerRow.added_queues)]
    others = cast(WorkerRow.other_instances, Text)
    query = (
        select(
            *_ALIKE,
            func.coalesce(WorkerRow.host_name, "").label("host_name"),
            func.coalesce(WorkerRow.address, "").label("address"),
            func.coalesce(held.c.slots, 0).label("taken_slots"),
            func.coalesce(held.c.jobs, 0).label("jobs"),
            waiting.c.asked_at.label("waiting_order_at"),
            *names,
            others,
        )
        .outerjoin(held, held.c.worker_id == WorkerRow.id)
        .outerjoin(waiting, waiting.c.worker_id == WorkerRow.id)
    )
    if teams is not None:
        query = query.where(of_teams(WorkerRow.team_name, teams))
    if name is not None:
        query = query.where(WorkerRow.name == name)
    # Not as the ORM reads them, which takes twice as long for thousands of rows.
    return [_glance(row) for row in session.connection().execute(query).all()]


def _glance(row: Sequence[Any]) -> Glance:
    key, name, team_name, state, silent, revoked_at, enrolled_at, last_seen_at, has_link, concurrency = row[:10]
    conditions, warnings, refused, warning, cause, comment, by, until, agent_version, airflow_version = row[10:20]
    grace, closed, host_name, address, taken_slots, jobs, waiting_order_at, queues, asked, added, others = row[20:]
    return Glance(
        key=key,
        name=name,
        team_name=team_name,
        state=state,
        silent=silent,
        has_link=has_link,
        revoked_at=revoked_at,
        enrolled_at=enrolled_at,
        last_seen_at=last_seen_at,
        concurrency=concurrency,
        queues=_served(queues, asked, added),
        conditions=conditions,
        warnings=warnings,
        version_refused=refused,
        version_warning=warning,
        maintenance_cause=cause,
        maintenance_comment=comment,
        maintenance_by=by,
        maintenance_until=until,
        closed=_closed(closed) if closed else {},
        others=_others(others) if others else (),
        host_name=host_name,
        address=address,
        agent_version=agent_version,
        airflow_version=airflow_version,
        jobs=jobs,
        taken_slots=int(taken_slots),
        own_grace=to_duration(grace),
        waiting_order_at=waiting_order_at,
    )


@lru_cache(maxsize=10_000)
def _served(queues: str, asked: str | None, added: str | None) -> tuple[str, ...]:
    """Say of the texts in a row what a worker's `served_queues` say."""
    wanted, more = asked and json.loads(asked), (added and json.loads(added)) or ()
    return tuple(name for name in json.loads(queues) if wanted is None or name in wanted or name in more)


@lru_cache(maxsize=1_000)
def _closed(text: str) -> Mapping[str, Closure]:
    return read_closures(text)


@lru_cache(maxsize=1_000)
def _others(text: str) -> tuple[OtherInstance, ...]:
    return read_others(json.loads(text))


def queue_demands(
    session: Session, *, teams: Collection[str] | None = None, now: datetime | None = None
) -> tuple[list[QueueDemand], GatewaySigns]:
    """Give, per team and queue, what waits and what runs; a queue that is paused is there though nothing does.

    With it comes, in the same statement, when gateways were there last.

    :param teams: only of these teams and of none; None for all
    :param now: to count, too, what came and went lately
    """
    waits, held = JobRow.state == JobState.QUEUED, JobRow.state.in_(JOB_HELD)
    counts = [number(waits), number(held), func.min(case((waits, JobRow.queued_at)))]
    which: ColumnElement[bool] = or_(waits, held)
    if now is not None:
        since, until = rate_window(now)
        counts += [number(and_(column >= since, column < until)) for column in (JobRow.queued_at, JobRow.ended_at)]
        # What came since then has not ended, or has ended since then.
        which = or_(which, and_(JobRow.state.in_(JOB_ENDED), JobRow.ended_at >= since))
    job, pause = JobRow, QueuePauseRow
    # MySQL compares no text with one of unknown collation: what is missing is missing of the other table's columns.
    missing = [select(column).where(false()).scalar_subquery() for column in (pause.note, pause.by, pause.since)]
    query = select(literal_column(str(_DEMAND)), job.team_name, job.queue, *counts, *missing).where(
        which, job.kind != "test"
    )
    query = query.group_by(job.team_name, job.queue)
    none: ColumnElement[int] = literal_column("0")
    rates = [none] * (len(counts) - 3)
    nothing: list[ColumnElement[Any]] = [none, none, _MOMENT, *rates]
    pauses = select(
        literal_column(str(_PAUSE)), pause.team_name, pause.queue, *nothing, pause.note, pause.by, pause.since
    )
    process = ProcessRow
    going_on = func.max(case((process.ended_at.is_(None), process.seen_at)))
    texts = [
        select(column).where(false()).scalar_subquery() for column in (job.team_name, job.queue, pause.note, pause.by)
    ]
    signs = select(
        literal_column(str(_SIGNS)), *texts[:2], none, none, going_on, *rates, *texts[2:], func.max(process.seen_at)
    ).where(process.kind == "gateway")
    if teams is not None:
        query = query.where(of_teams(job.team_name, teams))
        pauses = pauses.where(pause.team_name.in_(["", *teams]))
    demands: dict[QueueKey, QueueDemand] = {}
    pauses_there: dict[QueueKey, QueuePause] = {}
    gateways = GatewaySigns(alive_at=None, seen_at=None)
    # One statement for all of it: the page looks every few seconds.
    rows: Iterable[Any] = session.execute(union_all(query, pauses, signs))
    for what, team, queue, queued, running, oldest, *moved, note, by, since in rows:
        if what == _SIGNS:
            gateways = GatewaySigns(alive_at=oldest, seen_at=since)
        elif what == _DEMAND:
            demands[team, queue] = QueueDemand(
                team_name=team,
                queue=queue,
                queued=int(queued),
                running=int(running),
                oldest_queued_at=oldest,
                came=int(moved[0]) if moved else 0,
                went=int(moved[1]) if moved else 0,
            )
        else:
            key = team or None, queue
            pauses_there[key] = QueuePause(team_name=key[0], queue=queue, note=note, by=by, since=since)
    found = [replace(demand, paused=pauses_there.pop(key, None)) for key, demand in demands.items()] + [
        QueueDemand(team_name=team, queue=queue, queued=0, running=0, oldest_queued_at=None, paused=paused)
        for (team, queue), paused in pauses_there.items()
    ]
    return found, gateways


_DEMAND, _PAUSE, _SIGNS = range(3)
"""What a row of that statement is."""
_MOMENT: Final = cast(null(), UtcDateTime)


def measured_last(session: Session, series: str, *, minute: int) -> dict[UUID, float]:
    """Give what was measured last at each worker of which something is known lately.

    :param minute: now, in minutes since 1970
    """
    since = minute - MINUTES_PER_CHUNK
    row = WorkerMetricRow
    query = (
        select(row.worker_id, row.minute, row.size, row.data)
        .join(WorkerRow, WorkerRow.id == row.worker_id)
        .where(row.minute > since - MINUTES_PER_CHUNK)
        .order_by(row.minute)
    )
    found: dict[UUID, float] = {}
    place = SERIES.index(series)
    for chunk in (Chunk(*one) for one in session.execute(query)):
        for at, values in unpack(chunk):
            value = values[place]
            if value is not None and at >= since:
                found[chunk.worker_id] = value
    return found


def of_teams(column: InstrumentedAttribute[str | None], teams: Collection[str]) -> ColumnElement[bool]:
    """Say whether something is of one of these teams, or of none."""
    return or_(column.is_(None), column.in_(teams))


def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Count rows that fulfil a condition, on databases without FILTER too."""
    return func.sum(case((condition, 1), else_=0))
