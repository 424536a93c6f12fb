"""How a worker stands, as facts that are told apart: its link, what it is about, and how much of it is taken.

Its state says all of them in one word, which is too little for whoever looks at thousands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from airflow_edge.protocol.messages import MaintenanceCause
from airflow_edge.protocol.states import MAINTENANCE, WorkerState
from airflow_edge.rules.fleet.closing import Closure
from airflow_edge.rules.worker import OtherInstance

OFFLINE: Final = frozenset({WorkerState.OFFLINE, WorkerState.OFFLINE_MAINTENANCE})
"""States of one that has said goodbye."""
# Looked through and not looked up: for a set, Python makes a state's hash anew each time, of thousands of workers.
_GONE: Final = tuple(OFFLINE)
_IN_MAINTENANCE: Final = (*MAINTENANCE, WorkerState.MAINTENANCE_EXIT)
_UNCLEAR: Final = (WorkerState.UNKNOWN, WorkerState.STARTING)
_DRAINING: Final = (WorkerState.SHUTDOWN_REQUEST, WorkerState.TERMINATING)


class Reach(StrEnum):
    """Whether the centre reaches it."""

    LINKED = "linked"
    OUT_OF_REACH = "out of reach"
    """It should be linked, and is not heard from."""
    OFFLINE = "offline"
    """It has said goodbye."""
    NEVER_LINKED = "never linked"
    REVOKED = "revoked"


class Stance(StrEnum):
    """What it is about."""

    TAKING_JOBS = "taking jobs"
    MAINTENANCE = "maintenance"
    """It is in one, or was asked to be, or has not left it yet."""
    DRAINING = "draining"
    """It ends when its jobs have."""
    HELD_BACK = "held back"
    """It would take jobs, and something keeps it from that: a condition at the site, or its versions."""
    STARTING = "starting"
    AWAY = "away"
    """It is not there, and there is no more to say."""


class Load(StrEnum):
    """How much of it is taken."""

    IDLE = "idle"
    BUSY = "busy"
    FULL = "full"


# Not frozen, and what follows from the rest is found once: there are thousands of them at each look.
@dataclass(slots=True, kw_only=True, eq=False)
class Glance:
    """What can be said of a worker at a glance: little enough to be read of all of them at once."""

    key: str
    """Its id, as the database writes it."""
    name: str
    team_name: str | None
    state: WorkerState
    silent: bool
    has_link: bool
    """Whether a link of it is noted; who has one may be out of reach all the same."""
    revoked_at: datetime | None
    enrolled_at: datetime
    last_seen_at: datetime | None
    concurrency: int
    queues: tuple[str, ...]
    """Those that it serves."""
    conditions: str
    """What keeps it from taking jobs, in the site's words; empty if nothing does."""
    warnings: str
    version_refused: str
    version_warning: str
    maintenance_cause: MaintenanceCause | None
    others: tuple[OtherInstance, ...]
    """Other instances that have tried to link with its key."""
    host_name: str
    address: str
    agent_version: str | None
    airflow_version: str | None
    jobs: int
    """Those that it has."""
    taken_slots: int
    own_grace: timedelta | None = None
    """For how long its jobs are waited for, if that is its own."""
    waiting_order_at: datetime | None = None
    """When the oldest order was given that it has not answered."""
    maintenance_comment: str = ""
    maintenance_by: str | None = None
    maintenance_until: datetime | None = None
    closed: Mapping[str, Closure] = field(default_factory=dict)
    """Its queues that its owner has closed."""
    lost_after: datetime | None = None
    """When the first of its running jobs count as lost unless it is back by then; None if it is not waited for."""
    link: Reach = field(init=False)
    stance: Stance = field(init=False)
    """What it is about; of one that is out of reach, what is known of it still."""
    ready: bool = field(init=False)
    """Whether it is given jobs when it has room."""
    free_slots: int = field(init=False)
    """Slots for which it would be given jobs now."""

    def __post_init__(self) -> None:
        """Find what follows from the rest."""
        self.link = _link(self)
        self.stance = _stance(self)
        self.ready = self.link is Reach.LINKED and self.stance is Stance.TAKING_JOBS
        self.free_slots = max(0, self.concurrency - self.taken_slots) if self.ready else 0

    @property
    def id(self) -> UUID:
        """Give its id."""
        return UUID(self.key)

    @property
    def load(self) -> Load:
        """Say how much of it is taken."""
        if not self.jobs:
            return Load.IDLE
        return Load.FULL if self.taken_slots >= self.concurrency else Load.BUSY


def in_maintenance(state: WorkerState, cause: MaintenanceCause | None) -> bool:
    """Say whether a worker is in a maintenance, or was asked to be, or has not left it yet."""
    # One that is out of reach, or has just come back, has no other sign of the maintenance that it was in.
    return state in _IN_MAINTENANCE or (state in _UNCLEAR and cause is not None)


def _link(worker: Glance) -> Reach:
    if worker.revoked_at is not None:
        return Reach.REVOKED
    if worker.last_seen_at is None and not worker.has_link:
        return Reach.NEVER_LINKED
    if worker.state in _GONE:
        return Reach.OFFLINE
    if worker.silent or worker.state is WorkerState.UNKNOWN or not worker.has_link:
        return Reach.OUT_OF_REACH
    return Reach.LINKED


def _stance(worker: Glance) -> Stance:
    if worker.revoked_at is not None:
        return Stance.AWAY
    state = worker.state
    if in_maintenance(state, worker.maintenance_cause):
        return Stance.MAINTENANCE
    if state in _DRAINING:
        return Stance.DRAINING
    if worker.link is not Reach.LINKED:
        return Stance.AWAY
    if worker.conditions or worker.version_refused:
        return Stance.HELD_BACK
    return Stance.STARTING if state is WorkerState.STARTING else Stance.TAKING_JOBS


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCounts:
    """How many workers there are of each kind; each that is not revoked counts in `total` and in one of the others.

    `busy` are those that have jobs, wherever they count: what is said of each of them is what is counted.
    """

    total: int
    well: int
    busy: int
    maintenance: int
    draining: int
    held_back: int
    starting: int
    out_of_reach: int
    offline: int
    never_linked: int
    revoked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCounts:
    """How many slots there are, how many of them jobs take, and how many are there for a job now.

    Those of a worker count in `total` while it is linked or out of reach, or has jobs; in `free` only if it takes jobs.
    """

    total: int
    taken: int
    free: int


_COUNTED_AS: Final = {
    Reach.OUT_OF_REACH: "out_of_reach",
    Reach.OFFLINE: "offline",
    Reach.NEVER_LINKED: "never_linked",
    Reach.REVOKED: "revoked",
    Stance.TAKING_JOBS: "well",
    Stance.MAINTENANCE: "maintenance",
    Stance.DRAINING: "draining",
    Stance.HELD_BACK: "held_back",
    Stance.STARTING: "starting",
}


_PRESENT: Final = frozenset({Reach.LINKED, Reach.OUT_OF_REACH})


def standing(worker: Glance) -> str:
    """Give the one of the fields of `WorkerCounts` that it counts in: its stance, if it has a link."""
    link = worker.link
    return _COUNTED_AS[worker.stance if link is Reach.LINKED else link]


def count_workers(workers: Iterable[Glance]) -> tuple[WorkerCounts, SlotCounts]:
    """Count workers and slots."""
    counts = Counter[str](dict.fromkeys(_COUNTED_AS.values(), 0))
    busy = total = taken = free = 0
    for worker in workers:
        found = standing(worker)
        counts[found] += 1
        taken += worker.taken_slots
        free += worker.free_slots
        if worker.link is Reach.REVOKED:
            continue
        busy += worker.jobs > 0
        if worker.jobs or worker.link in _PRESENT:
            total += worker.concurrency
    known = counts.total() - counts["revoked"]
    return WorkerCounts(total=known, busy=busy, **counts), SlotCounts(total=total, taken=taken, free=free)
