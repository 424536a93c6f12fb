"""Test jobs: asked for by people, of one worker each, to see one go there and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JOB_OPEN, JobEvent, JobState, next_job_state
from airflow_edge.rules.acts.testing import why_no_test
from airflow_edge.store.queueing import add_job
from airflow_edge.store.tables import JobRow, WorkerRow
from airflow_edge.store.transactions import StorePart, change, writing
from airflow_edge.store.workers.workers import to_worker

NO_QUEUE: Final = ""
"""In place of a queue's name: it waits for its worker, and no queue has this name."""
PRIORITY: Final = 2**31 - 1
"""It gets the next free slot: somebody watches, and it is over in a moment."""

TESTS_WAIT: Final = (JobRow.state == JobState.QUEUED, JobRow.queue == NO_QUEUE, JobRow.kind == "test")
"""Those that wait for their workers. The queue, which is none, has the index find them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTest:
    """What came of asking for a test job."""

    job_id: UUID | None = None
    """That of the one that is under way, whoever asked for it."""
    why_not: str = ""
    """Why there is none, and what to do."""


class WorkerTests(StorePart):
    """Test jobs of workers."""

    @writing
    def ask(self, session: Session, worker_id: UUID, *, now: datetime) -> AskedTest | None:
        """Queue a test job for a worker, unless one is under way or it would get none; None if there is no worker."""
        row = session.get(WorkerRow, worker_id, with_for_update=True)
        if row is None:
            return None
        under_way = select(JobRow.id).where(
            JobRow.worker_id == worker_id, JobRow.state.in_(JOB_OPEN), JobRow.kind == "test"
        )
        if (job_id := session.scalar(under_way.limit(1))) is not None:
            return AskedTest(job_id=job_id)
        if why_not := why_no_test(to_worker(row)):
            return AskedTest(why_not=why_not)
        job = _new_job(row, now)
        add_job(session, job, now=now)
        return AskedTest(job_id=job.id)

    @writing
    def cancel(self, session: Session, job_id: UUID, reason: str, *, now: datetime) -> bool:
        """Give one up that still waits, and say whether it did."""
        this = (JobRow.id == job_id, JobRow.kind == "test", JobRow.state == JobState.QUEUED)
        cancelled = {
            "state": next_job_state(JobState.QUEUED, JobEvent.CANCEL),
            "reason": reason,
            "ended_at": now,
        }
        return change(session, update(JobRow).where(*this).values(cancelled)) > 0


def log_path_of_test(job_id: UUID) -> str:
    """Give the path that a test job's log has among those of tasks."""
    return f"edge_test_jobs/{job_id}.log"


def _new_job(worker: WorkerRow, now: datetime) -> JobRow:
    job_id = uuid4()
    return JobRow(
        id=job_id,
        kind="test",
        workload_id=job_id,
        dag_id="",
        task_id="",
        run_id="",
        map_index=-1,
        try_number=1,
        queue=NO_QUEUE,
        team_name=worker.team_name,
        priority_weight=PRIORITY,
        slots=1,
        owner=None,
        log_path=log_path_of_test(job_id),
        workload="{}",
        worker_id=worker.id,
        booked_at=now,
    )
