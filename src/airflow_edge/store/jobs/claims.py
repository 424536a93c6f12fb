"""Handing out: queued jobs to workers with free slots, in one transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import case, exists, or_, select, update
from sqlalchemy.orm import Session, undefer

from airflow_edge.protocol.states import JobEvent, JobState, WorkerState, next_job_state
from airflow_edge.rules.matching import Capacity, match
from airflow_edge.store.columns import batches, to_value
from airflow_edge.store.jobs.jobs import AssignedJob
from airflow_edge.store.jobs.pauses import is_paused, waits_in_paused_queue
from airflow_edge.store.jobs.refusals import open_to_some, refusals_of_waiting
from airflow_edge.store.jobs.testing import TESTS_WAIT
from airflow_edge.store.tables import JobRow, WorkerRow
from airflow_edge.store.transactions import StorePart, change, notify, reading, writing

_TAKES_NONE: Final = frozenset({WorkerState.MAINTENANCE_REQUEST, WorkerState.SHUTDOWN_REQUEST})

MAX_PER_QUEUE: Final = 500
"""Jobs of one queue that are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob(AssignedJob):
    """A job written down as handed out, ready to be offered."""

    workload: str


class JobQueue(StorePart):
    """The queue, as jobs are taken out of it."""

    def claim(
        self, capacities: Sequence[Capacity], *, lease_until: datetime, now: datetime, asks: bool = False
    ) -> list[ClaimedJob]:
        """Hand queued jobs to these workers in one transaction: state leased, next assignment number, worker, lease.

        :param asks: ask for each queue, even if no job waits anywhere: to see whether that can be done
        """
        if not any(capacity.free_slots > 0 for capacity in capacities):
            return []
        if asks:
            return self._claim(capacities, lease_until, now, tests=True)
        jobs, tests = self._waiting(_testable(capacities))
        return self._claim(capacities, lease_until, now, tests=tests) if jobs or tests else []

    @writing
    def notify(self, session: Session, payload: str) -> bool:
        """Notify all gateways; say whether the database can. Only for those on PostgreSQL: others would lock it."""
        return notify(session, payload)

    @reading
    def _waiting(self, session: Session, testable: Collection[UUID]) -> tuple[bool, bool]:
        """Say whether jobs wait in queues, and whether test jobs wait for one of these workers."""
        jobs = exists().where(JobRow.state == JobState.QUEUED, JobRow.kind != "test", ~waits_in_paused_queue())
        waits, tests = session.execute(select(jobs, exists().where(*TESTS_WAIT))).one()
        # Of those that have no room nothing is to be had, each time that somebody looks.
        return bool(waits), bool(tests) and not set(testable).isdisjoint(
            session.scalars(select(JobRow.worker_id).where(*TESTS_WAIT))
        )

    @writing
    def _claim(
        self, session: Session, capacities: Sequence[Capacity], lease_until: datetime, now: datetime, *, tests: bool
    ) -> list[ClaimedJob]:
        claimed: list[ClaimedJob] = []
        capacities = _willing(session, capacities)
        refusals = refusals_of_waiting(session, [capacity.worker_id for capacity in capacities])
        while True:
            candidates, complete = _candidates(session, capacities, refusals)
            if tests:
                candidates += _test_jobs(session, _testable(capacities))
            matches = match(candidates, capacities, refusals)
            if not matches:
                return claimed
            _lease(session, {job.id: worker_id for job, worker_id in matches}, lease_until, now)
            taken: Counter[UUID] = Counter()
            sent: Counter[UUID] = Counter()
            offered = Counter(worker_id for _, worker_id in matches)
            for job, worker_id in matches:
                # The rows are as they were read.
                leased = {"assignment": job.assignment + 1, "worker_id": worker_id, "state": JobState.LEASED}
                claimed.append(to_value(ClaimedJob, job, **leased))
                taken[worker_id] += job.slots
                sent[worker_id] += job.size
            if complete:
                return claimed
            capacities = [
                replace(
                    capacity,
                    free_slots=capacity.free_slots - taken[capacity.worker_id],
                    room=capacity.room - sent[capacity.worker_id],
                    offers=capacity.offers - offered[capacity.worker_id],
                )
                for capacity in capacities
            ]


def _willing(session: Session, capacities: Sequence[Capacity]) -> list[Capacity]:
    """Leave out workers that were just revoked or told to take no job, of which their gateways may not know yet."""
    ids = [capacity.worker_id for capacity in capacities if capacity.free_slots > 0]
    to_get_none = or_(WorkerRow.asked_state.in_(_TAKES_NONE), WorkerRow.revoked_at.is_not(None))
    asked = set(session.scalars(select(WorkerRow.id).where(WorkerRow.id.in_(ids), to_get_none)))
    return [capacity for capacity in capacities if capacity.worker_id not in asked]


def _testable(capacities: Iterable[Capacity]) -> list[UUID]:
    return [one.worker_id for one in capacities if one.can_be_sent]


def _test_jobs(session: Session, worker_ids: Collection[UUID]) -> Sequence[JobRow]:
    """Read and lock the test jobs that wait for these workers."""
    these = select(JobRow).options(undefer(JobRow.workload)).where(*TESTS_WAIT, JobRow.worker_id.in_(worker_ids))
    return session.scalars(these.with_for_update(skip_locked=True)).all()


def _candidates(
    session: Session, capacities: Sequence[Capacity], refusals: Mapping[UUID, Collection[UUID]]
) -> tuple[list[JobRow], bool]:
    """Read and lock, queue by queue in the order in which they are due, the jobs that these workers could have.

    Say, too, whether these are all: whether no queue has more jobs than were looked at.

    :param refusals: by job, the workers that have refused it for good
    """
    free: defaultdict[tuple[str | None, str], dict[UUID, int]] = defaultdict(dict)
    offers = {capacity.worker_id: capacity.offers for capacity in capacities}
    for capacity in capacities:
        if capacity.can_be_sent:
            for queue in capacity.queues:
                free[capacity.team_name, queue][capacity.worker_id] = capacity.free_slots
    jobs: list[JobRow] = []
    complete = True
    for (team_name, queue), slots in sorted(free.items(), key=lambda item: (item[0][0] or "", item[0][1])):
        limit = min(sum(min(count, offers[worker_id]) for worker_id, count in slots.items()), MAX_PER_QUEUE)
        found = session.scalars(
            select(JobRow)
            .options(undefer(JobRow.workload))
            .where(
                JobRow.state == JobState.QUEUED,
                JobRow.queue == queue,
                JobRow.team_name == team_name if team_name is not None else JobRow.team_name.is_(None),
                JobRow.slots <= max(slots.values()),
                *open_to_some(slots, refusals),
                ~is_paused(team_name, queue),
            )
            .order_by(JobRow.priority_weight.desc(), JobRow.queued_at, JobRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        complete = complete and len(found) < limit
        jobs += found
    return jobs, complete


def _lease(session: Session, worker_ids: Mapping[UUID, UUID], lease_until: datetime, now: datetime) -> None:
    for some in batches(worker_ids.items()):
        change(
            session,
            update(JobRow)
            .where(JobRow.id.in_([job_id for job_id, _ in some]))
            .values(
                state=next_job_state(JobState.QUEUED, JobEvent.CLAIM),
                assignment=JobRow.assignment + 1,
                worker_id=case(dict(some), value=JobRow.id),
                lease_until=lease_until,
                offered_at=now,
            ),
        )
