"""What Airflow wants of the tasks that workers run: `dispatch.ports.Tasks`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JobState
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.model import AwaitedJobs, Unwanted
from airflow_edge.store.airflow_tables import TASK_INSTANCE, WANTED, refresh_heartbeats
from airflow_edge.store.jobs.unreachable import awaited_jobs, silent_jobs
from airflow_edge.store.tables import JobRow
from airflow_edge.store.transactions import Transactions


class Tasks:
    """Jobs seen together with Airflow's task instances."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def unwanted(self, worker_ids: Collection[UUID]) -> list[Unwanted]:
        """Give the jobs that these workers have to stop: cancelled, or running for a task that no longer wants them.

        A cancelled one is given until its worker has reported its end, a running one until it is released or has ended.
        """
        if not worker_ids:
            return []
        task = TASK_INSTANCE.c
        running_for_nobody = and_(
            JobRow.state == JobState.RUNNING,
            JobRow.released.is_(False),
            JobRow.kind == "task",
            or_(task.id.is_(None), task.state.is_(None), task.state.not_in(WANTED)),
        )
        query = (
            select(JobRow.id, JobRow.assignment, JobRow.worker_id, JobRow.state, JobRow.reason, task.id, task.state)
            .outerjoin(TASK_INSTANCE, and_(JobRow.state == JobState.RUNNING, task.id == JobRow.workload_id))
            .where(
                JobRow.worker_id.in_(worker_ids),
                JobRow.state.in_({JobState.RUNNING, JobState.CANCELLED}),
                or_(running_for_nobody, and_(JobRow.state == JobState.CANCELLED, JobRow.to_stop.is_(True))),
            )
        )

        def look(session: Session) -> list[Unwanted]:
            return [
                Unwanted(
                    worker_id=worker_id,
                    job_id=job_id,
                    assignment=assignment,
                    reason=reason if state is JobState.CANCELLED else _reason(task_id, task_state),
                )
                for job_id, assignment, worker_id, state, reason, task_id, task_state in session.execute(query)
            ]

        return self._transactions.read(look)

    def keep_alive(self, job_ids: Collection[UUID], patience: Patience, *, now: datetime) -> int:
        """Keep Airflow's heartbeats fresh; say how many needed it.

        For these jobs, whose supervisors are alive, and for every running job of a worker that is out of reach for no
        longer than the grace.
        """
        running = (JobRow.state == JobState.RUNNING, JobRow.released.is_(False), JobRow.kind == "task")

        def find(session: Session) -> set[UUID]:
            silent = silent_jobs(session, patience, now=now)
            found = {job.workload_id for job in silent if job.needs_heartbeat and now <= job.lost_after}
            alive = select(JobRow.workload_id).where(*running, JobRow.id.in_(job_ids))
            return found | set(session.scalars(alive)) if job_ids else found

        ids = self._transactions.read(find)
        if not ids:
            return 0
        return self._transactions.write(lambda session: refresh_heartbeats(session, ids, now=now))

    def awaited(self, patience: Patience, *, now: datetime) -> dict[UUID, AwaitedJobs]:
        """Give the running jobs of the workers that are out of reach, by worker."""
        return self._transactions.read(lambda session: awaited_jobs(session, patience, now=now))


def _reason(task_id: UUID | None, task_state: str | None) -> str:
    if task_id is None or task_state is None or task_state == "restarting":
        return "the task was cleared, or its run was deleted"
    return f"the task was set to {task_state}"
