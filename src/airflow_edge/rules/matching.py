"""Who gets which job."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID


class QueueKey(NamedTuple):
    """A queue of a team's, or of none: those of two teams are two, whatever they are called."""

    team_name: str | None
    name: str


class QueuedJob(Protocol):
    """What decides who gets a job, and when: columns of its row."""

    @property
    def id(self) -> UUID: ...
    @property
    def queue(self) -> str: ...
    @property
    def team_name(self) -> str | None: ...
    @property
    def slots(self) -> int: ...
    @property
    def priority_weight(self) -> int: ...
    @property
    def queued_at(self) -> datetime: ...
    @property
    def size(self) -> int: ...
    @property
    def only_for(self) -> UUID | None:
        """The worker that a test job is for."""


Job = TypeVar("Job", bound=QueuedJob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a linked worker could take right now."""

    worker_id: UUID
    queues: frozenset[str]
    team_name: str | None
    free_slots: int
    room: int = sys.maxsize
    """Bytes of workloads that it can be sent, until it has taken some in: a job that goes over that is its last one."""
    offers: int = sys.maxsize
    """Jobs that it can be sent until then."""

    @property
    def keys(self) -> set[QueueKey]:
        """The queues that it may have jobs of."""
        return {QueueKey(self.team_name, queue) for queue in self.queues}

    @property
    def can_be_sent(self) -> bool:
        """Whether it can be sent any job at all."""
        return self.free_slots > 0 and self.room > 0 and self.offers > 0


def order(jobs: Iterable[Job]) -> list[Job]:
    """Put jobs in the order in which they are due: highest priority weight first, then the one that waits longest."""
    return sorted(jobs, key=lambda job: (-job.priority_weight, job.queued_at, job.id))


def match(
    jobs: Iterable[Job], capacities: Iterable[Capacity], refusals: Mapping[UUID, Collection[UUID]] | None = None
) -> list[tuple[Job, UUID]]:
    """Give each job, in the order in which they are due, to the worker with the most free slots that may have it.

    A worker may have a job of a queue it serves, of its own team, with no more slots than it has free, as long as there
    is room for it on its link; a test job is for one worker, whatever it serves. A job that fits nowhere stays behind
    and does not hold up the ones after it.

    :param refusals: by job, the workers that have refused it for good
    :return: pairs of a job and a worker's id
    """
    free: dict[UUID, int] = {}
    room: dict[UUID, int] = {}
    offers: dict[UUID, int] = {}
    serving: defaultdict[tuple[str | None, str], list[UUID]] = defaultdict(list)
    for capacity in capacities:
        if not capacity.can_be_sent:
            continue
        free[capacity.worker_id], room[capacity.worker_id] = capacity.free_slots, capacity.room
        offers[capacity.worker_id] = capacity.offers
        for queue in capacity.queues:
            serving[capacity.team_name, queue].append(capacity.worker_id)
    matches = []
    for job in order(jobs):
        able: Collection[UUID] = (
            serving[job.team_name, job.queue] if job.only_for is None else free.keys() & {job.only_for}
        )
        if refusals and (refusing := refusals.get(job.id)):
            able = [worker_id for worker_id in able if worker_id not in refusing]
        worker_id = max(able, key=free.__getitem__, default=None)
        if worker_id is not None and free[worker_id] >= job.slots:
            room[worker_id] -= job.size
            offers[worker_id] -= 1
            free[worker_id] = free[worker_id] - job.slots if room[worker_id] > 0 and offers[worker_id] > 0 else 0
            matches.append((job, worker_id))
    return matches
