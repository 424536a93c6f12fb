"""Handing out: queued jobs to workers with free slots, in one transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from typing import cast as as_type
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Row,
    Select,
    Table,
    Text,
    case,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from airflow_edge.protocol.states import JobEvent, JobState, WorkerState, next_job_state
from airflow_edge.rules.matching import Capacity, QueueKey, match
from airflow_edge.store.columns import batches, to_value
from airflow_edge.store.jobs.jobs import AssignedJob
from airflow_edge.store.jobs.pauses import waits_in_paused_queue
from airflow_edge.store.jobs.refusals import open_to_some, refusals_of_waiting
from airflow_edge.store.jobs.testing import TESTS_WAIT
from airflow_edge.store.tables import JobRow, RefusalRow, WorkerRow
from airflow_edge.store.transactions import StorePart, change, notify, reading, writing

_TAKES_NONE: Final = frozenset({WorkerState.MAINTENANCE_REQUEST, WorkerState.SHUTDOWN_REQUEST})

MAX_PER_QUEUE: Final = 500
"""Jobs of one queue that are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob(AssignedJob):
    """A job written down as handed out, ready to be offered."""

    workload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """What came of a claim."""

    jobs: list[ClaimedJob]
    more: set[QueueKey]
    """Queues of which more than was looked at may wait."""
    left: set[QueueKey]
    """Queues of which something was seen that none of these workers gets now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits to be handed out."""

    queues: Mapping[QueueKey, int] = field(default_factory=dict)
    """The queues, none of them paused, in which jobs wait, and how many slots the largest of these takes."""
    tests: frozenset[UUID] = frozenset()
    """The workers for which test jobs wait."""


class _Candidate:
    """A job that waits, as it was read; what decides who gets it."""

    def __init__(self, row: Row[Any]) -> None:
        self.row = row
        self.id: UUID = row.id
        self.key = QueueKey(row.team_name, row.queue)
        self.queue: str = row.queue
        self.team_name: str | None = row.team_name
        self.slots: int = row.slots
        self.priority_weight: int = row.priority_weight
        self.queued_at: datetime = row.queued_at
        self.only_for: UUID | None = row.worker_id if row.kind == "test" else None

    @cached_property
    def size(self) -> int:
        return len(self.row.workload.encode())


_JOB: Final[Table] = as_type("Table", JobRow.__table__)
_READ: Final = [
    *(_JOB.c[one.name] for one in fields(ClaimedJob)),
    _JOB.c.priority_weight,
    _JOB.c.queued_at,
]


class JobQueue(StorePart):
    """The queue, as jobs are taken out of it."""

    @reading
    def waiting(self, session: Session) -> Waiting:
        """Say what waits; as many rows are looked at as jobs wait."""
        only_for = case((JobRow.kind == "test", JobRow.worker_id)).label("only_for")
        query = select(JobRow.team_name, JobRow.queue, only_for, func.max(JobRow.slots).label("slots"))
        waits = JobRow.state == JobState.QUEUED, or_(JobRow.kind == "test", ~waits_in_paused_queue())
        rows = session.execute(query.where(*waits).group_by(JobRow.team_name, JobRow.queue, only_for)).all()
        return Waiting(
            queues={QueueKey(row.team_name, row.queue): row.slots for row in rows if row.only_for is None},
            tests=frozenset(row.only_for for row in rows if row.only_for is not None),
        )

    @writing
    def claim(
        self,
        session: Session,
        capacities: Sequence[Capacity],
        *,
        queues: Collection[QueueKey] | None = None,
        tests: bool = True,
        lease_until: datetime,
        now: datetime,
    ) -> HandedOut:
        """Hand queued jobs to these workers in one transaction: state leased, next assignment number, worker, lease.

        :param queues: of which of theirs; all of them where it is not given
        :param tests: hand out test jobs, too
        """
        able = {one.worker_id: one for one in capacities if one.can_be_sent}
        room = _room(able.values(), queues)
        found = _candidates(session, room, {})
        refusals: Mapping[UUID, Collection[UUID]] = {}
        if refused := _refused(session, found):
            refusals = refusals_of_waiting(session, able)
            found = _candidates(session, room, refusals)
        counts = Counter(one.key for one in found)
        full = {key for key, count in counts.items() if count >= room[key].most}
        if tests and able:
            found += _test_jobs(session, able)
        matches = match(found, able.values(), refusals)
        if matches and (unwilling := _unwilling(session, {worker_id for _, worker_id in matches})):
            matches = match(found, [one for one in able.values() if one.worker_id not in unwilling], refusals)
        _lease(session, {job.id: worker_id for job, worker_id in matches}, lease_until, now)
        given = Counter(job.key for job, _ in matches)
        return HandedOut(
            jobs=[
                to_value(
                    ClaimedJob,
                    job.row,
                    assignment=job.row.assignment + 1,
                    worker_id=worker_id,
                    state=JobState.LEASED,
                )
                for job, worker_id in matches
            ],
            more={key for key in full if given[key]},
            # What was refused waits for others.
            left=refused.union(key for key, count in counts.items() if given[key] < count or key in full),
        )

    @writing
    def notify(self, session: Session, payload: str) -> bool:
        """Notify all gateways; say whether the database can. Only for those on PostgreSQL: others would lock it."""
        return notify(session, payload)


@dataclass(slots=True)
class _Room:
    """What workers could have of one queue."""

    free: dict[UUID, int] = field(default_factory=dict)
    """Their free slots."""
    offers: int = 0

    @property
    def most(self) -> int:
        """How many jobs they could have, at most."""
        return min(self.offers, MAX_PER_QUEUE)

    @property
    def slots(self) -> int:
        """How many slots the largest of them may take."""
        return max(self.free.values())


def _room(capacities: Iterable[Capacity], queues: Collection[QueueKey] | None) -> dict[QueueKey, _Room]:
    found: defaultdict[QueueKey, _Room] = defaultdict(_Room)
    for one in capacities:
        for key in one.keys if queues is None else one.keys.intersection(queues):
            found[key].free[one.worker_id] = one.free_slots
            found[key].offers += min(one.free_slots, one.offers)
    return dict(found)


def _unwilling(session: Session, worker_ids: Collection[UUID]) -> set[UUID]:
    """Give those that were just revoked or told to take no job, of which their gateways may not know yet."""
    to_get_none = or_(WorkerRow.asked_state.in_(_TAKES_NONE), WorkerRow.revoked_at.is_not(None))
    return set(session.scalars(select(WorkerRow.id).where(WorkerRow.id.in_(worker_ids), to_get_none)))


def _refused(session: Session, jobs: Collection[_Candidate]) -> set[QueueKey]:
    """Give the queues of those of the jobs that some worker has refused for good."""
    ids = set[UUID]()
    for some in batches(jobs):
        ids.update(session.scalars(select(RefusalRow.job_id).where(RefusalRow.job_id.in_([job.id for job in some]))))
    return {job.key for job in jobs if job.id in ids}


def _test_jobs(session: Session, worker_ids: Collection[UUID]) -> list[_Candidate]:
    """Read and lock the test jobs that wait for these workers."""
    these = select(*_READ).where(*TESTS_WAIT, JobRow.worker_id.in_(worker_ids))
    return [_Candidate(row) for row in session.execute(these.with_for_update(skip_locked=True))]


def _candidates(
    session: Session, room: Mapping[QueueKey, _Room], refusals: Mapping[UUID, Collection[UUID]]
) -> list[_Candidate]:
    """Read and lock the jobs of each queue that these workers could have, in the order in which they are due.

    :param refusals: by job, the workers that have refused it for good
    """
    if not room:
        return []
    # What all of its workers have refused is another condition for each queue.
    together = session.connection().dialect.name == "postgresql" and not refusals
    queries = [_of_all(room)] if together else [_of_one(key, one, refusals) for key, one in _by_name(room)]
    return [_Candidate(row) for query in queries for row in session.execute(query)]


def _by_name(room: Mapping[QueueKey, _Room]) -> list[tuple[QueueKey, _Room]]:
    """Put queues in the order in which everybody locks their jobs."""
    return sorted(room.items(), key=lambda item: (item[0].team_name or "", item[0].name))


def _due(queue: ColumnElement[str], team: ColumnElement[bool], slots: ColumnElement[int]) -> Select[Any]:
    these = (_JOB.c.state == JobState.QUEUED, _JOB.c.queue == queue, team, _JOB.c.slots <= slots)
    query = select(*_READ).where(*these, ~waits_in_paused_queue())
    return query.order_by(_JOB.c.priority_weight.desc(), _JOB.c.queued_at, _JOB.c.id)


def _of_one(key: QueueKey, room: _Room, refusals: Mapping[UUID, Collection[UUID]]) -> Select[Any]:
    team = _JOB.c.team_name.is_(None) if key.team_name is None else _JOB.c.team_name == key.team_name
    query = _due(literal(key.name), team, literal(room.slots)).where(*open_to_some(room.free, refusals))
    return query.limit(room.most).with_for_update(skip_locked=True)


def _of_all(room: Mapping[QueueKey, _Room]) -> Select[Any]:
    """Give one query for all queues, as PostgreSQL can: its text is the same for any number of them."""
    ordered = _by_name(room)
    lists = (
        _array([key.team_name for key, _ in ordered], Text()),
        _array([key.name for key, _ in ordered], Text()),
        _array([one.slots for _, one in ordered], Integer()),
        _array([one.most for _, one in ordered], Integer()),
    )
    names = column("team_name", Text()), column("queue", Text()), column("slots", Integer()), column("most", Integer())
    due = func.unnest(*lists).table_valued(*names, name="due").render_derived()
    team = _JOB.c.team_name.is_not_distinct_from(due.c.team_name)
    jobs = _due(due.c.queue, team, due.c.slots).limit(due.c.most).with_for_update(skip_locked=True).lateral("job")
    return select(*jobs.c).select_from(due.join(jobs, true()))


def _array(values: Sequence[object], kind: TypeEngine[Any]) -> ColumnElement[Any]:
    # One that is empty, or has nothing but NULL, says nothing about its type.
    return cast(literal(values, ARRAY(kind)), ARRAY(kind))


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
