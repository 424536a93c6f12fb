"""What people look at: workers, jobs and queues, filtered, sorted and in pages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from glob import escape
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, undefer

from airflow_edge.protocol.states import JOB_OPEN, JobState
from airflow_edge.rules.explanation.facts import Ahead
from airflow_edge.rules.explanation.journey import JourneyStep, journey, workers_of
from airflow_edge.rules.fleet.choosing import MEASURED, WorkerFilter, choose
from airflow_edge.rules.fleet.queues import QueueDemand
from airflow_edge.rules.fleet.standing import Glance, Reach
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.metrics import minute_of
from airflow_edge.rules.overview import JobFilter, JobView, Page, WorkerView
from airflow_edge.rules.processes import GatewaySigns
from airflow_edge.store.airflow_tables import states_of
from airflow_edge.store.columns import fits, to_value
from airflow_edge.store.fleet.glances import glances, measured_last, number, of_teams, queue_demands
from airflow_edge.store.fleet.sheets import WorkerSheet, note_awaited, sheets
from airflow_edge.store.jobs.testing import TESTS_WAIT
from airflow_edge.store.jobs.unreachable import awaited_jobs
from airflow_edge.store.tables import EnrollTokenRow, JobRow, WorkerRow
from airflow_edge.store.transactions import StorePart, reading
from airflow_edge.store.workers.workers import to_worker

JOB_ORDERS: Final = frozenset({"queued_at", "started_at", "ended_at", "state", "queue", "priority_weight"})
"""By what jobs can be sorted."""
MOST_NAMED: Final = 1_000
"""Workers that a query names one by one; databases take only so many parameters."""


class JobHistory(NamedTuple):
    """A job, and its way so far."""

    job: JobView
    journey: tuple[JourneyStep, ...]


class FleetNow(NamedTuple):
    """All workers at a glance, what is wanted of each queue, and whether workers are served at all."""

    workers: list[Glance]
    demands: list[QueueDemand]
    gateways: GatewaySigns


class FleetViews(StorePart):
    """Workers, jobs and queues as people look at them."""

    @reading
    def glances(self, session: Session, *, teams: Collection[str] | None = None) -> list[Glance]:
        """Give all workers at a glance.

        :param teams: only of these teams and of none; None for all
        """
        return glances(session, teams=teams)

    @reading
    def overview(
        self,
        session: Session,
        *,
        teams: Collection[str] | None = None,
        now: datetime | None = None,
        patience: Patience | None = None,
    ) -> FleetNow:
        """Give all workers at a glance, what is wanted of each queue, and when gateways were there last.

        :param teams: only of these teams and of none; None for all
        :param now: to count, too, what came to the queues and went lately
        :param patience: to say until when jobs of workers that are out of reach are waited for; a statement more if
            there are any
        """
        workers = glances(session, teams=teams)
        away = [one for one in workers if one.link is Reach.OUT_OF_REACH and one.jobs]
        if patience is not None and away:
            note_awaited(away, awaited_jobs(session, patience, now=datetime.now(UTC)))
        return FleetNow(workers, *queue_demands(session, teams=teams, now=now))

    @reading
    def find_workers(
        self,
        session: Session,
        wanted: WorkerFilter,
        *,
        order: str = "name",
        limit: int,
        offset: int = 0,
        known_teams: Collection[str] | None = None,
    ) -> Page[WorkerView]:
        """Give a page of the workers that fit, and how many fit in all.

        :param order: one of `WORKER_ORDERS` that goes by nothing measured, with `-` before it for the reverse
        :param known_teams: those that Airflow has; None where it has none
        """
        now = datetime.now(UTC)
        found = choose(glances(session, teams=wanted.teams), wanted, order=order, known_teams=known_teams, now=now)
        shown = found[offset : offset + limit]
        query = select(WorkerRow)
        if len(shown) <= MOST_NAMED:
            query = query.where(WorkerRow.id.in_([worker.id for worker in shown]))
        rows = {row.id: row for row in session.scalars(query)}
        views = tuple(
            WorkerView(worker=to_worker(rows[one.id]), taken_slots=one.taken_slots, jobs=one.jobs)
            for one in shown
            if one.id in rows
        )
        return Page(views, len(found))

    @reading
    def page_of_workers(
        self,
        session: Session,
        wanted: WorkerFilter,
        patience: Patience,
        *,
        order: str = "name",
        limit: int,
        offset: int = 0,
        known_teams: Collection[str] | None = None,
        now: datetime,
    ) -> Page[WorkerSheet]:
        """Give all there is to show of a page of the workers that fit, and how many fit in all: in three statements.

        :param order: one of `WORKER_ORDERS`, with `-` before it for the reverse; one that goes by what was measured
            costs a statement more
        :param limit: at most `MOST_NAMED`
        :param known_teams: those that Airflow has; None where it has none
        """
        series, minute = MEASURED.get(order.removeprefix("-")), minute_of(now.timestamp())
        measured = None if series is None else measured_last(session, series, minute=minute)
        found = choose(
            glances(session, teams=wanted.teams),
            wanted,
            order=order,
            measured=measured,
            known_teams=known_teams,
            now=now,
        )
        shown = found[offset : offset + limit]
        return Page(tuple(sheets(session, shown, patience, minute=minute, now=now)), len(found))

    @reading
    def sheet_of(
        self, session: Session, name: str, patience: Patience, *, teams: Collection[str] | None = None, now: datetime
    ) -> WorkerSheet | None:
        """Give all there is to show of the worker of a name; None if there is none.

        :param teams: it is of one of these, or of none; None for any
        """
        found = glances(session, teams=teams, name=name)
        return next(iter(sheets(session, found, patience, minute=minute_of(now.timestamp()), now=now)), None)

    @reading
    def find_jobs(
        self, session: Session, wanted: JobFilter, *, order: str = "-queued_at", limit: int, offset: int = 0
    ) -> Page[JobView]:
        """Give a page of the jobs that fit, and how many fit in all.

        :param order: one of `JOB_ORDERS`, with `-` before it for the reverse
        """
        conditions = _job_conditions(wanted)
        total = session.scalar(select(func.count()).select_from(JobRow).where(*conditions)) or 0
        column = {name: getattr(JobRow, name) for name in JOB_ORDERS}[order.removeprefix("-")]
        # Both in one direction, as in an index, which is read in either.
        by = [one.desc() if order.startswith("-") else one.asc() for one in (column, JobRow.id)]
        query = select(JobRow).where(*conditions).order_by(*by).limit(limit).offset(offset)
        return Page(_job_views(session, session.scalars(query).all()), total)

    @reading
    def history_of(self, session: Session, job_id: UUID) -> JobHistory | None:
        """Give a job with what is remembered of its way; None if there is none."""
        row = session.scalar(select(JobRow).options(undefer(JobRow.past)).where(JobRow.id == job_id))
        if row is None:
            return None
        [view] = _job_views(session, [row])
        named = select(WorkerRow.id, WorkerRow.name).where(WorkerRow.id.in_(workers_of(row.past)))
        names: dict[UUID, str] = dict(session.execute(named).all()) if row.past else {}
        return JobHistory(view, tuple(journey(view, row.past, names, None if row.kind == "test" else row.booked_at)))

    @reading
    def glance_at(self, session: Session, name: str) -> Glance | None:
        """Give the worker of a name, revoked or not, at a glance; None if there is none."""
        return next(iter(glances(session, name=name)), None)

    @reading
    def waiting_tests(self, session: Session) -> tuple[JobView, ...]:
        """Give the test jobs that wait for their workers."""
        return _job_views(session, session.scalars(select(JobRow).where(*TESTS_WAIT)).all())

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
    def queue_names(self, session: Session) -> set[str]:
        """Give the queues of all jobs that are kept."""
        return set(session.scalars(select(JobRow.queue).distinct()))

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
        query = select(func.count(), func.coalesce(number(weightier), 0)).where(same, or_(weightier, earlier))
        before, heavier = session.execute(query).one()
        return Ahead(int(before), int(heavier))

    @reading
    def oldest_start(self, session: Session, worker_ids: Collection[UUID]) -> dict[UUID, datetime]:
        """Give, for each of these workers that has a job, when the one that runs longest began."""
        query = select(JobRow.worker_id, func.min(JobRow.started_at)).where(JobRow.state == JobState.RUNNING)
        if len(worker_ids) <= MOST_NAMED:
            query = query.where(JobRow.worker_id.in_(worker_ids))
        query = query.group_by(JobRow.worker_id)
        return {worker_id: start for worker_id, start in session.execute(query) if worker_id and start}


def _job_conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    equal = {
        JobRow.dag_id: wanted.dag_id,
        JobRow.run_id: wanted.run_id,
        JobRow.task_id: wanted.task_id,
        JobRow.map_index: wanted.map_index,
        JobRow.queue: wanted.queue,
        JobRow.team_name: wanted.team_name,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if wanted.teams is not None:
        conditions.append(of_teams(JobRow.team_name, wanted.teams))
    if wanted.states:
        conditions.append(JobRow.state.in_(wanted.states))
    if wanted.search:
        text = wanted.search.lower()
        glob = text.replace("[", "[[]") if "*" in text or "?" in text else f"*{escape(text)}*"
        ids = (JobRow.dag_id, JobRow.task_id, JobRow.run_id)
        conditions.append(or_(*(fits(func.lower(one), glob) for one in ids)))
    if wanted.worker is not None:
        conditions.append(JobRow.worker_id.in_(select(WorkerRow.id).where(WorkerRow.name == wanted.worker)))
    return conditions


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
