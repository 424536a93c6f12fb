"""All there is to show of a few workers, in two statements however many they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from airflow_edge.protocol.messages import JobKind
from airflow_edge.protocol.states import JOB_HELD, JobState
from airflow_edge.rules.fleet.standing import Glance
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.metrics import MINUTES_PER_CHUNK, Chunk
from airflow_edge.rules.orders import OrderState, WorkerOrder
from airflow_edge.rules.overview import WorkerView
from airflow_edge.store.columns import to_value
from airflow_edge.store.fleet.glances import HELD_HERE
from airflow_edge.store.jobs.unreachable import AwaitedJobs, Running, await_jobs
from airflow_edge.store.tables import EnrollTokenRow, JobRow, WorkerMetricRow, WorkerOrderRow, WorkerRow
from airflow_edge.store.workers.workers import to_worker

MOST_TASKS: Final = 5
"""Jobs of a worker that are named; how many it has is said besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAtWorker:
    """A job that a worker has now."""

    id: UUID
    kind: JobKind
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    state: JobState
    started_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSheet:
    """A worker, and what there is to show of it."""

    glance: Glance
    view: WorkerView
    tasks: tuple[JobAtWorker, ...]
    """The first of those that it has, oldest first."""
    chunks: tuple[Chunk, ...]
    """What was measured there lately."""
    order: WorkerOrder | None
    """The oldest that it has not answered."""
    awaited: AwaitedJobs | None
    """Its running jobs, where it is out of reach."""
    enrolled_by: str | None
    """Who made the token that it was enrolled with; None if that is not known any more."""


def sheets(
    session: Session, workers: Sequence[Glance], patience: Patience, *, minute: int, now: datetime
) -> list[WorkerSheet]:
    """Give the sheets of these workers, in this order, those there are still.

    :param minute: now, in minutes since 1970: what was measured for a quarter of an hour before is given
    """
    ids = [worker.id for worker in workers]
    rows: dict[UUID, WorkerRow] = {}
    chunks: defaultdict[UUID, dict[int, Chunk]] = defaultdict(dict)
    orders: defaultdict[UUID, dict[UUID, WorkerOrder]] = defaultdict(dict)
    makers: dict[UUID, str | None] = {}
    since = minute - MINUTES_PER_CHUNK
    measured = and_(
        WorkerMetricRow.worker_id == WorkerRow.id,
        WorkerMetricRow.minute > since - MINUTES_PER_CHUNK,
        WorkerMetricRow.minute < minute,
    )
    waits = and_(WorkerOrderRow.worker_id == WorkerRow.id, WorkerOrderRow.state == OrderState.WAITING)
    query = (
        select(WorkerRow, WorkerMetricRow, WorkerOrderRow, EnrollTokenRow.created_by)
        .outerjoin(WorkerMetricRow, measured)
        .outerjoin(WorkerOrderRow, waits)
        .outerjoin(EnrollTokenRow, EnrollTokenRow.id == WorkerRow.enroll_token_id)
        .where(WorkerRow.id.in_(ids))
    )
    found: Iterable[Any] = session.execute(query)
    for row, chunk, order, maker in found:
        rows[row.id], makers[row.id] = row, maker
        if chunk is not None and chunk.minute + chunk.size > since:
            chunks[row.id][chunk.minute] = to_value(Chunk, chunk)
        if order is not None:
            orders[row.id][order.id] = to_value(WorkerOrder, order)
    tasks, awaited = _jobs(session, workers, rows, patience, now)
    note_awaited(workers, awaited)
    return [
        WorkerSheet(
            glance=worker,
            view=WorkerView(worker=to_worker(rows[worker.id]), taken_slots=worker.taken_slots, jobs=worker.jobs),
            tasks=tuple(tasks[worker.id]),
            chunks=tuple(chunk for _, chunk in sorted(chunks[worker.id].items())),
            order=min(orders[worker.id].values(), key=lambda order: order.asked_at, default=None),
            awaited=awaited.get(worker.id),
            enrolled_by=makers[worker.id],
        )
        for worker in workers
        if worker.id in rows
    ]


def note_awaited(workers: Iterable[Glance], awaited: Mapping[UUID, AwaitedJobs]) -> None:
    """Have glances say until when their jobs are waited for."""
    for worker in workers:
        if (jobs := awaited.get(worker.id)) is not None:
            worker.lost_after = jobs.first_lost_after


def _jobs(
    session: Session, workers: Sequence[Glance], rows: dict[UUID, WorkerRow], patience: Patience, now: datetime
) -> tuple[dict[UUID, list[JobAtWorker]], dict[UUID, AwaitedJobs]]:
    silent_before = patience.silent_before(now)
    silent = [one.id for one in workers if one.last_seen_at is not None and one.last_seen_at < silent_before]
    elsewhere = case((and_(*HELD_HERE), 0), else_=1)
    held = (
        select(
            JobRow.id,
            func.row_number()
            .over(
                partition_by=JobRow.worker_id,
                order_by=(elsewhere, func.coalesce(JobRow.started_at, JobRow.queued_at), JobRow.id),
            )
            .label("place"),
            elsewhere.label("elsewhere"),
        )
        .where(JobRow.worker_id.in_([worker.id for worker in workers]), JobRow.state.in_(JOB_HELD))
        .subquery()
    )
    # Of those that are out of reach all, to say until when they are waited for.
    shown = or_(held.c.place <= MOST_TASKS, JobRow.worker_id.in_(silent), JobRow.left_at.is_not(None))
    query = select(JobRow, held.c.place, held.c.elsewhere).join(held, held.c.id == JobRow.id).where(shown)
    tasks: defaultdict[UUID, list[JobAtWorker]] = defaultdict(list)
    running = []
    for job, place, away in session.execute(query.order_by(held.c.place)):
        worker = rows.get(job.worker_id) if job.worker_id is not None else None
        if worker is None:
            continue
        if place <= MOST_TASKS and not away:
            tasks[worker.id].append(to_value(JobAtWorker, job))
        seen_at = job.left_at or worker.last_seen_at
        if job.state is JobState.RUNNING and seen_at is not None and seen_at < silent_before:
            running.append(Running(worker.id, job.queue, seen_at, worker.disconnect_grace, 1))
    return tasks, await_jobs(running, patience)
