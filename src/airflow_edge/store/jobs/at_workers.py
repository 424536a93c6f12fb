"""What workers have of jobs, for who wants to know before something is done to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JOB_HELD, JobState
from airflow_edge.rules.acts.consequences import NAMED, JobsThere
from airflow_edge.store.columns import batches
from airflow_edge.store.tables import JobRow
from airflow_edge.store.transactions import StorePart, reading


class JobsAtWorkers(StorePart):
    """Jobs by the workers that have them."""

    @reading
    def there(self, session: Session, worker_ids: Iterable[UUID]) -> dict[UUID, JobsThere]:
        """Give what these workers have; one without any is left out."""
        found: defaultdict[UUID | None, JobsThere] = defaultdict(JobsThere)
        for some in batches(worker_ids):
            query = (
                select(JobRow.worker_id, JobRow.state, JobRow.dag_id, JobRow.task_id)
                .where(JobRow.worker_id.in_(some), JobRow.state.in_(JOB_HELD))
                .order_by(JobRow.started_at, JobRow.id)
            )
            for worker_id, state, dag_id, task_id in session.execute(query):
                before, runs = found[worker_id], state is JobState.RUNNING
                name = (f"{dag_id}/{task_id}",) if runs and len(before.names) < NAMED else ()
                found[worker_id] = JobsThere(before.running + runs, before.offered + (not runs), before.names + name)
        return {worker_id: there for worker_id, there in found.items() if worker_id is not None}
