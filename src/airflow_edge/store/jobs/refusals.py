"""Which workers' owners do not allow a job: it is not offered there again, and fails when no other worker is left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JobEvent, JobState, next_job_state
from airflow_edge.rules.fleet.closing import read_closures
from airflow_edge.rules.reports import denied
from airflow_edge.store.queueing import put_back
from airflow_edge.store.tables import JobRow, RefusalRow, WorkerRow
from airflow_edge.store.transactions import StorePart, lock, reading
from airflow_edge.store.workers.workers import to_worker


class JobRefusals(StorePart):
    """Refusals for good, by job and worker."""

    @reading
    def of_job(self, session: Session, job_id: UUID) -> dict[UUID, str]:
        """Give the workers that have refused a job for good, and why."""
        query = select(RefusalRow.worker_id, RefusalRow.text).where(RefusalRow.job_id == job_id)
        return {row.worker_id: row.text for row in session.execute(query)}

    @reading
    def of_log(self, session: Session, path: str) -> list[str]:
        """Say of the job with the log of this path who has refused it, oldest first."""
        query = (
            select(RefusalRow.worker_id, WorkerRow.name, RefusalRow.text)
            .join(JobRow, JobRow.id == RefusalRow.job_id)
            .outerjoin(WorkerRow, WorkerRow.id == RefusalRow.worker_id)
            .where(JobRow.log_path == path)
            .order_by(RefusalRow.at, RefusalRow.worker_id)
        )
        return [denied(name or str(worker_id), text) for worker_id, name, text in session.execute(query)]

    def fail_hopeless(self, *, now: datetime, limit: int) -> int:
        """Fail what waits though all that could take it have refused it: the last other one was revoked; say how many.

        :param limit: of those that are looked at
        """
        refused = exists().where(RefusalRow.job_id == JobRow.id)
        query = select(JobRow).where(JobRow.state == JobState.QUEUED, refused).limit(limit)
        if not self._transactions.finds(query.with_only_columns(JobRow.id)):
            return 0

        def work(session: Session) -> int:
            count = 0
            for job in lock(session, query):
                last = select(RefusalRow).where(RefusalRow.job_id == job.id).order_by(RefusalRow.at.desc())
                refusal = session.scalars(last.limit(1)).one()
                count += _fail_if_hopeless(session, job, refusal.worker_id, refusal.text, now)
            return count

        return self._transactions.write(work)


def note_denied(session: Session, job: JobRow, worker_id: UUID, text: str, *, now: datetime) -> None:
    """Note that the owner of a worker, which was offered the job, does not allow it: it waits for another or fails."""
    session.merge(RefusalRow(job_id=job.id, worker_id=worker_id, text=text, at=now))
    session.flush()
    if not _fail_if_hopeless(session, job, worker_id, text, now):
        put_back(session, job, "refused", text, now=now)


def refusals_of_waiting(session: Session, worker_ids: Collection[UUID]) -> dict[UUID, set[UUID]]:
    """Give, by job that waits, those of these workers that have refused it."""
    waits = select(RefusalRow.job_id, RefusalRow.worker_id).join(JobRow, JobRow.id == RefusalRow.job_id)
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    wanted = set(worker_ids)
    # There are few, and workers may be thousands.
    for job_id, worker_id in session.execute(waits.where(JobRow.state == JobState.QUEUED)):
        if worker_id in wanted:
            found[job_id].add(worker_id)
    return dict(found)


def open_to_some(worker_ids: Collection[UUID], refusals: Mapping[UUID, Collection[UUID]]) -> list[ColumnElement[bool]]:
    """Say, in SQL, that one of these workers has not refused a job: so many that all have must not hide the others.

    :param refusals: by job, those of these workers that have refused it
    """
    refusing = set().union(*refusals.values()) if refusals else set()
    if not refusing.issuperset(worker_ids):
        return []
    these = RefusalRow.job_id == JobRow.id, RefusalRow.worker_id.in_(worker_ids)
    return [select(func.count()).where(*these).correlate(JobRow).scalar_subquery() < len(worker_ids)]


def _fail_if_hopeless(session: Session, job: JobRow, worker_id: UUID, text: str, now: datetime) -> bool:
    """Fail a job that no worker is left for; one that is only away may come back."""
    enrolled = select(WorkerRow).where(
        WorkerRow.revoked_at.is_(None),
        WorkerRow.team_name == job.team_name if job.team_name is not None else WorkerRow.team_name.is_(None),
        WorkerRow.id.not_in(select(RefusalRow.worker_id).where(RefusalRow.job_id == job.id)),
    )
    if any(_may_take(row, job.queue) for row in session.scalars(enrolled)):
        return False
    name = session.scalar(select(WorkerRow.name).where(WorkerRow.id == worker_id))
    job.state = next_job_state(job.state, JobEvent.DENY)
    job.reason = denied(name or str(worker_id), text)
    job.ended_at = now
    job.lease_until = None
    return True


def _may_take(row: WorkerRow, queue: str) -> bool:
    closure = read_closures(row.closed).get(queue)
    return queue in to_worker(row).served_queues and not (closure and closure.for_good)
