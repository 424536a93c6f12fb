"""Jobs on their way: claimed, settled, kept alive or stopped as Airflow wants it, lost, deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, inspect, or_, select, tuple_, update
from sqlalchemy.orm import Session, undefer

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Ended, JobKind, Refused, Released, one_line
from airflow_edge.protocol.states import JOB_ENDED, JOB_HELD, JobEvent, JobState, job_sources, next_job_state
from airflow_edge.rules.liveness import Grace, Patience, Silence
from airflow_edge.rules.reports import Reading, Report, event_of, read
from airflow_edge.store.airflow_tables import TASK_INSTANCE, WANTED, is_latest_try, refresh_heartbeats
from airflow_edge.store.columns import batches, to_value
from airflow_edge.store.jobs.refusals import note_denied
from airflow_edge.store.jobs.unreachable import AwaitedJobs, awaited_jobs, jobs_given_up, out_of_reach
from airflow_edge.store.queueing import put_back
from airflow_edge.store.tables import CallRow, JobRow, RefusalRow, WorkerRow
from airflow_edge.store.transactions import StorePart, change, lock, reading, writing

UNCLAIMED_KEPT: Final = timedelta(days=1)
"""How long an ended job waits for a scheduler to book it, or for its worker to send the rest of its log."""

_MAX_INT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedJob:
    """A job that a worker holds or held, as the store knows it."""

    id: UUID
    assignment: int
    worker_id: UUID
    kind: JobKind
    workload_id: UUID
    slots: int
    state: JobState
    released: bool
    """Airflow holds the task's state; its slots are free."""
    queue: str = ""
    team_name: str | None = None
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 1
    begun_at: datetime | None = None
    """When Airflow was told that its task runs."""
    calls_until: datetime | None = None
    """Until when its task may call; None while nothing has ended that."""

    @property
    def key(self) -> AssignmentKey:
        """The assignment's name."""
        return AssignmentKey(str(self.id), self.assignment)


class Jobs(StorePart):
    """Jobs on their way."""

    def settle(self, worker_id: UUID, reports: Sequence[Report], *, now: datetime) -> list[Reading]:
        """Apply a worker's reports in one transaction, all or none; say how each was taken."""
        (readings,) = self.settle_all([(worker_id, reports)], now=now)
        return readings

    @writing
    def settle_all(
        self, session: Session, said: Sequence[tuple[UUID, Sequence[Report]]], *, now: datetime
    ) -> list[list[Reading]]:
        """Apply what workers report, each with its own, in one transaction, all or none; say how each was taken.

        There are as many statements as different changes, however many jobs they are made to.
        """
        ids = {UUID(report.job_id) for _, reports in said for report in reports}
        jobs: dict[UUID, JobRow] = {}
        # In this order everybody locks them.
        for some in batches(sorted(ids)):
            these = select(JobRow).options(undefer(JobRow.past)).where(JobRow.id.in_(some))
            jobs |= {job.id: job for job in session.scalars(these.order_by(JobRow.id).with_for_update())}
        readings = [
            [_apply(session, jobs.get(UUID(report.job_id)), worker_id, report, now) for report in reports]
            for worker_id, reports in said
        ]
        _write_together(session, jobs.values())
        return readings

    def confirm(self, worker_id: UUID, job_id: UUID, assignment: int, *, now: datetime) -> AssignedJob | None:
        """Give the job if this worker holds it under this assignment, else None.

        A leased one counts as accepted from here on.
        """
        this = (JobRow.id == job_id, JobRow.worker_id == worker_id, JobRow.assignment == assignment)

        def look(session: Session) -> AssignedJob | None:
            job = session.scalar(select(JobRow).where(*this, JobRow.state.in_(JOB_HELD)))
            return None if job is None else to_value(AssignedJob, job)

        def accept(session: Session) -> AssignedJob | None:
            session.execute(
                update(JobRow)
                .where(*this, JobRow.state == JobState.LEASED)
                .values(state=next_job_state(JobState.LEASED, JobEvent.ACCEPT), started_at=now, lease_until=None)
            )
            return look(session)

        held = self._transactions.read(look)
        if held is None or held.state is not JobState.LEASED:
            return held
        return self._transactions.write(accept)

    @reading
    def held_by(self, session: Session, worker_ids: Collection[UUID]) -> list[AssignedJob]:
        """Give the jobs that the centre thinks are with these workers (leased or running), as they are linked now."""
        held = JobRow.worker_id.in_(worker_ids), JobRow.instance.is_(None), JobRow.state.in_(JOB_HELD)
        return [to_value(AssignedJob, job) for job in session.scalars(select(JobRow).where(*held).order_by(JobRow.id))]

    @reading
    def not_held(
        self, session: Session, there: Mapping[UUID, Collection[AssignmentKey]]
    ) -> list[tuple[UUID, AssignmentKey]]:
        """Give those of the assignments at these workers that the centre neither counts with nor has stopped."""
        stopped = and_(JobRow.state == JobState.CANCELLED, JobRow.to_stop.is_(True))
        query = select(JobRow.worker_id, JobRow.id, JobRow.assignment).where(
            JobRow.worker_id.in_(there), or_(JobRow.state.in_(JOB_HELD), stopped)
        )
        held = {(worker, AssignmentKey(str(job_id), number)) for worker, job_id, number in session.execute(query)}
        return [(worker, key) for worker, keys in there.items() for key in keys if (worker, key) not in held]

    @reading
    def offered(self, session: Session) -> dict[UUID, int]:
        """Give the jobs that wait for a worker's answer, and under which assignment."""
        query = select(JobRow.id, JobRow.assignment).where(JobRow.state.in_(job_sources(JobEvent.EXPIRE)))
        return {row.id: row.assignment for row in session.execute(query)}

    def expire_leases(self, offers: Mapping[UUID, int], *, now: datetime) -> int:
        """Put jobs whose offers, under these assignments, are still not answered back into the queue; say how many."""
        return sum(self._expire(some, now) for some in batches(offers.items()))

    def _expire(self, offers: Sequence[tuple[UUID, int]], now: datetime) -> int:
        leased = JobRow.state.in_(job_sources(JobEvent.EXPIRE))
        these = select(JobRow).where(leased, tuple_(JobRow.id, JobRow.assignment).in_(offers))

        def work(session: Session) -> int:
            jobs = lock(session, these.options(undefer(JobRow.past)))
            for job in jobs:
                put_back(session, job, "expired", "it was not answered in time", now=now)
            return len(jobs)

        return self._transactions.write(work) if self._transactions.finds(these.with_only_columns(JobRow.id)) else 0

    @writing
    def lose(
        self, session: Session, worker_id: UUID, job_ids: Collection[UUID], reason: str, *, now: datetime
    ) -> list[UUID]:
        """Declare held jobs of a worker lost (once); give the ids of those that were."""
        these = (
            JobRow.id.in_(job_ids),
            JobRow.worker_id == worker_id,
            JobRow.state.in_(job_sources(JobEvent.LOSE)),
        )
        ids = list(session.scalars(select(JobRow.id).where(*these).order_by(JobRow.id).with_for_update()))
        session.execute(update(JobRow).where(JobRow.id.in_(ids)).values(_lost(reason, now)))
        return ids

    def lose_unreachable(self, silences: Mapping[UUID, Silence], patience: Patience, *, now: datetime) -> int:
        """Declare the running jobs of workers lost that are silent beyond the grace; say how many.

        :param silences: of workers, and of their instances that have left jobs behind
        """
        lost: defaultdict[Grace, list[tuple[UUID, UUID]]] = defaultdict(list)
        for job_id, holder, grace in self._transactions.read(lambda one: jobs_given_up(one, silences, patience)):
            lost[grace].append((job_id, holder))
        count = 0
        for grace, jobs in lost.items():
            for some in batches(jobs):
                since = [(holder, silences[holder].since) for holder in {holder for _, holder in some}]
                silent = select(WorkerRow.id).where(tuple_(WorkerRow.id, WorkerRow.last_seen_at).in_(since))
                still_away = or_(
                    and_(JobRow.instance.is_(None), JobRow.worker_id.in_(silent)),
                    tuple_(JobRow.instance, JobRow.left_at).in_(since),
                )
                these = JobRow.id.in_([job_id for job_id, _ in some])
                reason = f"its worker was out of reach for longer than its grace, {grace}"
                count += self._change_some((these, JobRow.state == JobState.RUNNING, still_away), _lost(reason, now))
        return count

    @reading
    def unwanted(self, session: Session, worker_ids: Collection[UUID]) -> dict[UUID, dict[AssignmentKey, str]]:
        """Give, by worker, the jobs that these workers have to stop, and why.

        They were cancelled, or are running for a task that no longer wants them.

        A cancelled one is given until its worker has reported its end, a running one until it is released or has ended.
        """
        task = TASK_INSTANCE.c
        running_for_nobody = and_(
            JobRow.state == JobState.RUNNING,
            JobRow.released.is_(False),
            JobRow.kind == "task",
            or_(task.id.is_(None), task.state.is_(None), task.state.not_in(WANTED)),
        )
        query = (
            select(JobRow.id, JobRow.assignment, JobRow.worker_id, JobRow.state, JobRow.reason, task.id, task.state)
            .outerjoin(
                TASK_INSTANCE,
                and_(JobRow.state == JobState.RUNNING, task.id == JobRow.workload_id, is_latest_try(session)),
            )
            .where(
                JobRow.worker_id.in_(worker_ids),
                JobRow.instance.is_(None),
                JobRow.state.in_({JobState.RUNNING, JobState.CANCELLED}),
                or_(running_for_nobody, and_(JobRow.state == JobState.CANCELLED, JobRow.to_stop.is_(True))),
            )
        )

        found: defaultdict[UUID, dict[AssignmentKey, str]] = defaultdict(dict)
        for job_id, assignment, worker_id, state, reason, task_id, task_state in session.execute(query):
            why = reason if state is JobState.CANCELLED else _reason(task_id, task_state)
            found[worker_id][AssignmentKey(str(job_id), assignment)] = why
        return found

    def keep_alive(self, job_ids: Collection[UUID], patience: Patience, *, now: datetime) -> int:
        """Keep Airflow's heartbeats fresh; say how many needed it.

        For these jobs, whose supervisors are alive, and for every running job of a worker that is out of reach: when
        its grace is over, it is not running any more.
        """
        running = (JobRow.state == JobState.RUNNING, JobRow.released.is_(False), JobRow.kind == "task")

        def find(session: Session) -> set[UUID]:
            found = set(session.scalars(select(JobRow.workload_id).where(*running, out_of_reach(patience, now))))
            for some in batches(job_ids):
                found.update(session.scalars(select(JobRow.workload_id).where(*running, JobRow.id.in_(some))))
            return found

        ids = self._transactions.read(find)
        if not ids:
            return 0
        return self._transactions.write(lambda session: refresh_heartbeats(session, ids, now=now))

    @reading
    def awaited(self, session: Session, patience: Patience, *, now: datetime) -> dict[UUID, AwaitedJobs]:
        """Give the running jobs of the workers that are out of reach, by worker."""
        return awaited_jobs(session, patience, now=now)

    @writing
    def purge(self, session: Session, *, succeeded_before: datetime, failed_before: datetime, limit: int) -> int:
        """Delete jobs that ended before then, and the calls of their tasks, at most `limit`; say how many.

        One that was not booked, or whose log is not complete yet, stays a day longer.
        """
        others = JOB_ENDED - {JobState.SUCCEEDED}
        settled = and_(JobRow.booked_at.is_not(None), or_(JobRow.log_complete.is_(True), JobRow.started_at.is_(None)))
        long_ago = min(succeeded_before, failed_before) - UNCLAIMED_KEPT
        due = (
            and_(JobRow.state == JobState.SUCCEEDED, JobRow.ended_at < succeeded_before, settled),
            and_(JobRow.state.in_(others), JobRow.ended_at < failed_before, settled),
            and_(JobRow.state.in_(JOB_ENDED), JobRow.ended_at < long_ago),
        )

        ids: set[UUID] = set()
        for condition in due:
            ids.update(lock(session, select(JobRow.id).where(condition).limit(limit - len(ids))))
        session.execute(delete(CallRow).where(CallRow.job_id.in_(ids)))
        session.execute(delete(RefusalRow).where(RefusalRow.job_id.in_(ids)))
        session.execute(delete(JobRow).where(JobRow.id.in_(ids)))
        return len(ids)

    def _change_some(self, condition: tuple[ColumnElement[bool], ...], values: dict[str, Any]) -> int:
        """Change the jobs that fulfil the condition, leaving those alone that somebody else is at; say how many."""
        query = select(JobRow.id).where(*condition)

        def work(session: Session) -> int:
            ids = lock(session, query)
            return change(session, update(JobRow).where(JobRow.id.in_(ids), *condition).values(values))

        return self._transactions.write(work) if self._transactions.finds(query) else 0


def _write_together(session: Session, jobs: Iterable[JobRow]) -> None:
    """Write changes that are the same for several jobs with one statement for all of them."""
    alike: defaultdict[tuple[tuple[str, object], ...], list[JobRow]] = defaultdict(list)
    for job in jobs:
        changes = {name: getattr(job, name) for name in inspect(job).committed_state}
        # What became of earlier assignments is its own.
        if changes and "past" not in changes:
            alike[tuple(sorted(changes.items()))].append(job)
    for together, those in alike.items():
        for some in batches(those):
            change(session, update(JobRow).where(JobRow.id.in_([job.id for job in some])).values(dict(together)))
        for job in those:
            session.expunge(job)


def _apply(session: Session, job: JobRow | None, worker_id: UUID, report: Report, now: datetime) -> Reading:
    if job is None:
        return Reading.VOID
    # One that another instance of the worker has left is that one's to report.
    theirs = job.worker_id == worker_id and job.instance is None
    reading = read(report, state=job.state, assignment=job.assignment, same_worker=theirs)
    if reading is Reading.APPLY:
        event = event_of(report)
        if isinstance(report, Refused):
            # Of a test job, which is for this worker only, nobody's owner has anything to say.
            if report.denied and job.kind != "test":
                note_denied(session, job, worker_id, one_line(report.reason), now=now)
            else:
                put_back(session, job, "refused", one_line(report.reason), now=now)
            return reading
        if event is JobEvent.ACCEPT and job.started_at is None:
            job.started_at = now
        job.state = next_job_state(job.state, event)
        job.lease_until = None
        if isinstance(report, Released):
            job.released = True
        if isinstance(report, Ended):
            job.ended_at = now
            job.exit_code = _bounded(report.exit_code)
            job.signal = _bounded(report.signal)
            job.reason = one_line(report.reason) or _explain(report)
    if isinstance(report, Ended) and reading is not Reading.VOID:
        job.to_stop = False
    return reading


def _explain(report: Ended) -> str:
    if report.exit_code == 0:
        return ""
    if report.signal is not None:
        return f"its process was ended by signal {report.signal}"
    if report.exit_code is not None:
        return f"its process ended with exit status {report.exit_code}"
    return "its process is gone and nobody saw how it ended"


def _bounded(number: int | None) -> int | None:
    """Nothing that a site may say overflows a column."""
    return None if number is None else max(-_MAX_INT, min(number, _MAX_INT))


def _lost(reason: str, now: datetime) -> dict[str, Any]:
    return {"state": JobState.LOST, "reason": reason, "ended_at": now, "lease_until": None}


def _reason(task_id: UUID | None, task_state: str | None) -> str:
    if task_id is None or task_state is None or task_state == "restarting":
        return "the task was cleared, or its run was deleted"
    return f"the task was set to {task_state}"
