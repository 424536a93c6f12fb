"""Who gets which job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from airflow_edge.rules.model import Capacity, QueuedJob


def order(jobs: Iterable[QueuedJob]) -> list[QueuedJob]:
    """Put jobs in the order in which they are due: highest priority weight first, then the one that waits longest."""
    return sorted(jobs, key=lambda job: (-job.priority_weight, job.queued_at, job.id))


def match(jobs: Iterable[QueuedJob], capacities: Iterable[Capacity]) -> list[tuple[QueuedJob, UUID]]:
    """Give each job, in the order in which they are due, to the worker with the most free slots that may have it.

    A worker may have a job of a queue it serves, of its own team, with no more slots than it has free. A job that
    fits nowhere stays behind and does not hold up the ones after it.

    :return: pairs of a job and a worker's id
    """
    free: dict[UUID, int] = {}
    serving: defaultdict[tuple[str | None, str], list[UUID]] = defaultdict(list)
    for capacity in capacities:
        if capacity.free_slots <= 0:
            continue
        free[capacity.worker_id] = capacity.free_slots
        for queue in capacity.queues:
            serving[capacity.team_name, queue].append(capacity.worker_id)
    matches = []
    for job in order(jobs):
        worker_id = max(serving[job.team_name, job.queue], key=free.__getitem__, default=None)
        if worker_id is not None and free[worker_id] >= job.slots:
            free[worker_id] -= job.slots
            matches.append((job, worker_id))
    return matches
