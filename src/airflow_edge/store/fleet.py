"""What people look at: workers, jobs and queues, filtered, sorted and in pages."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from glob import escape
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, case, cast, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from airflow_edge.protocol.states import JOB_HELD, JOB_OPEN, JobState
from airflow_edge.rules.explanation.facts import Ahead
from airflow_edge.rules.overview import JobFilter, JobView, Page, QueueDemand, WorkerFilter, WorkerView
from airflow_edge.store.airflow_tables import states_of
from airflow_edge.store.columns import fits, to_value
from airflow_edge.store.tables import EnrollTokenRow, JobRow, WorkerRow
from airflow_edge.store.transactions import StorePart, reading
from airflow_edge.store.workers.workers import to_worker

WORKER_ORDERS: Final = frozenset(
    {"name", "state", "last_seen_at", "enrolled_at", "concurrency", "agent_version", "airflow_version"}
)
"""By what workers can be sorted."""
JOB_ORDERS: Final = frozenset({"queued_at", "started_at", "ended_at", "state", "queue", "priority_weight"})
"""By what jobs can be sorted."""
MOST_NAMED: Final = 1_000
"""Workers that a query names one by one; databases take only so many parameters."""


class FleetViews(StorePart):
    """Workers, jobs and queues as people look at them."""

    @reading
    def find_workers(
        self, session: Session, wanted: WorkerFilter, *, order: str = "name", limit: int, offset: int = 0
    ) -> Page[WorkerView]:
        """Give a page of the workers that fit, and how many fit in all.

        :param order: one of `WORKER_ORDERS`, with `-` before it for the reverse
        """
        query = select(WorkerRow).where(*_worker_conditions(wanted))
        rows, total = _page(session, query, WorkerRow, WORKER_ORDERS, order, limit, offset)
        return Page(tuple(_worker_views(session, rows)), total)

    @reading
    def find_jobs(
        self, session: Session, wanted: JobFilter, *, order: str = "-queued_at", limit: int, offset: int = 0
    ) -> Page[JobView]:
        """Give a page of the jobs that fit, and how many fit in all.

        :param order: one of `JOB_ORDERS`, with `-` before it for the reverse
        """
        query = select(JobRow).where(*_job_conditions(wanted))
        rows, total = _page(session, query, JobRow, JOB_ORDERS, order, limit, offset)
        return Page(_job_views(session, rows), total)

    @reading
    def queue_demands(self, session: Session) -> list[QueueDemand]:
        """Give, per team and queue, what waits and what runs."""
        waits, held = JobRow.state == JobState.QUEUED, JobRow.state.in_(JOB_HELD)
        query = (
            select(
                JobRow.team_name,
                JobRow.queue,
                _number(waits),
                _number(held),
                func.min(case((waits, JobRow.queued_at))),
            )
            .where(or_(waits, held))
            .group_by(JobRow.team_name, JobRow.queue)
        )
        return [
            QueueDemand(team_name=team, queue=queue, queued=int(queued), running=int(running), oldest_queued_at=oldest)
            for team, queue, queued, running, oldest in session.execute(query)
        ]

    @reading
    def all_workers(self, session: Session) -> list[WorkerView]:
        """Give every worker that is not revoked, with what it has taken."""
        return _worker_views(session, session.scalars(select(WorkerRow).where(WorkerRow.revoked_at.is_(None))).all())

    @reading
    def views_of(self, session: Session, worker_ids: Collection[UUID]) -> list[WorkerView]:
        """Give these workers, those there are."""
        return _worker_views(session, session.scalars(select(WorkerRow).where(WorkerRow.id.in_(worker_ids))).all())

    @reading
    def team_names(self, session: Session) -> set[str]:
        """Give the teams of workers, tokens and jobs that are not over, whether Airflow has them or not."""
        queries = (
            select(WorkerRow.team_name),
            select(EnrollTokenRow.team_name),
            select(JobRow.team_name).where(JobRow.state.in_(JOB_OPEN)),
        )
        return {name for query in queries for name in session.scalars(query.distinct()) if name is not None}

    @reading
    def newest_job(self, session: Session, dag_id: str, run_id: str, task_id: str, map_index: int) -> JobView | None:
        """Give the job of a task instance that was queued last."""
        query = (
            select(JobRow)
            .where(
                JobRow.kind == "task",
                JobRow.dag_id == dag_id,
                JobRow.run_id == run_id,
                JobRow.task_id == task_id,
                JobRow.map_index == map_index,
            )
            .order_by(JobRow.queued_at.desc())
            .limit(1)
        )
        return next(iter(_job_views(session, session.scalars(query).all())), None)

    @reading
    def jobs_beginning(self, session: Session, digits: str) -> tuple[JobView, ...]:
        """Give up to two jobs whose id begins with these hexadecimal digits."""
        first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        query = select(JobRow).where(JobRow.id.between(first, last)).limit(2)
        return _job_views(session, session.scalars(query).all())

    @reading
    def ahead_of(self, session: Session, job: JobView) -> Ahead:
        """Count the queued jobs of its queue and team that are due before a job."""
        same = and_(
            JobRow.state == JobState.QUEUED,
            JobRow.queue == job.queue,
            JobRow.team_name == job.team_name if job.team_name is not None else JobRow.team_name.is_(None),
        )
        weightier = JobRow.priority_weight > job.priority_weight
        earlier = and_(
            JobRow.priority_weight == job.priority_weight,
            or_(JobRow.queued_at < job.queued_at, and_(JobRow.queued_at == job.queued_at, JobRow.id < job.id)),
        )
        query = select(func.count(), func.coalesce(_number(weightier), 0)).where(same, or_(weightier, earlier))
        before, heavier = session.execute(query).one()
        return Ahead(int(before), int(heavier))

    @reading
    def oldest_start(self, session: Session, worker_ids: Collection[UUID]) -> dict[UUID, datetime]:
        """Give, for each of these workers that has a job, when the one that runs longest began."""
        query = (
            select(JobRow.worker_id, func.min(JobRow.started_at))
            .where(JobRow.worker_id.in_(worker_ids), JobRow.state == JobState.RUNNING)
            .group_by(JobRow.worker_id)
        )
        return {worker_id: start for worker_id, start in session.execute(query) if worker_id and start}


def _page(
    session: Session,
    query: Select[Any],
    entity: type[JobRow | WorkerRow],
    orders: frozenset[str],
    order: str,
    limit: int,
    offset: int,
) -> tuple[Sequence[Any], int]:
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    attribute = {name: getattr(entity, name) for name in orders}[order.removeprefix("-")]
    by = attribute.desc() if order.startswith("-") else attribute.asc()
    return session.scalars(query.order_by(by, entity.id).limit(limit).offset(offset)).all(), total


def _worker_conditions(wanted: WorkerFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.name_pattern is not None:
        conditions.append(fits(WorkerRow.name, wanted.name_pattern.replace("[", "[[]")))
    if wanted.states:
        conditions.append(WorkerRow.state.in_(wanted.states))
    if not wanted.revoked:
        conditions.append(WorkerRow.revoked_at.is_(None))
    if wanted.team_name is not None:
        conditions.append(WorkerRow.team_name == wanted.team_name)
    if wanted.teams is not None:
        conditions.append(_of_teams(WorkerRow.team_name, wanted.teams))
    if wanted.queue is not None:
        conditions.append(_serves(wanted.queue))
    return conditions


def _serves(queue: str) -> ColumnElement[bool]:
    """Say of a worker what its `served_queues` say."""
    asked, added = _lists(WorkerRow.asked_queues, queue), _lists(WorkerRow.added_queues, queue)
    return and_(_lists(WorkerRow.queues, queue), or_(WorkerRow.asked_queues.is_(None), asked, added))


def _lists(names: InstrumentedAttribute[Any], queue: str) -> ColumnElement[bool]:
    """Look for a queue in the text of the JSON list: first in it, or after a comma that no name can hold like that."""
    # MySQL writes the list anew, with the characters themselves.
    written = {escape(json.dumps(queue, ensure_ascii=ascii_only)) for ascii_only in (True, False)}
    return or_(*(fits(cast(names, Text), f"{before}{one}*") for one in written for before in ("[[]", "*, ")))


def _job_conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    equal = {
        JobRow.dag_id: wanted.dag_id,
        JobRow.run_id: wanted.run_id,
        JobRow.task_id: wanted.task_id,
        JobRow.queue: wanted.queue,
        JobRow.team_name: wanted.team_name,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if wanted.teams is not None:
        conditions.append(_of_teams(JobRow.team_name, wanted.teams))
    if wanted.states:
        conditions.append(JobRow.state.in_(wanted.states))
    if wanted.worker is not None:
        conditions.append(JobRow.worker_id.in_(select(WorkerRow.id).where(WorkerRow.name == wanted.worker)))
    return conditions


def _of_teams(column: InstrumentedAttribute[str | None], teams: Collection[str]) -> ColumnElement[bool]:
    return or_(column.is_(None), column.in_(teams))


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Count rows that fulfil a condition, on databases without FILTER too."""
    return func.sum(case((condition, 1), else_=0))


def _worker_views(session: Session, rows: Sequence[WorkerRow]) -> list[WorkerView]:
    """Give workers with the slots that their jobs take, and how many jobs these are."""
    query = (
        select(JobRow.worker_id, func.sum(JobRow.slots), func.count())
        .where(JobRow.state.in_(JOB_HELD), JobRow.released.is_(False), JobRow.instance.is_(None))
        .group_by(JobRow.worker_id)
    )
    if len(rows) <= MOST_NAMED:
        query = query.where(JobRow.worker_id.in_([row.id for row in rows]))
    taken = {worker_id: (int(slots), jobs) for worker_id, slots, jobs in session.execute(query)}
    views = ((row, *taken.get(row.id, (0, 0))) for row in rows)
    return [WorkerView(worker=to_worker(row), taken_slots=slots, jobs=jobs) for row, slots, jobs in views]


def _job_views(session: Session, rows: Sequence[JobRow]) -> tuple[JobView, ...]:
    ids = {row.worker_id for row in rows if row.worker_id is not None}
    named = select(WorkerRow.id, WorkerRow.name).where(WorkerRow.id.in_(ids))
    names: dict[UUID | None, str] = dict(session.execute(named).all())
    tasks = states_of(session, {row.workload_id for row in rows if row.kind == "task"})
    return tuple(
        to_value(
            JobView,
            row,
            worker=names.get(row.worker_id, str(row.worker_id or "")),
            task_state=found.state if (found := tasks.get(row.workload_id)) else None,
        )
        for row in rows
    )
