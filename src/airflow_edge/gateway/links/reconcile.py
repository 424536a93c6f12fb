"""What the centre and a worker that links hold against each other: who has which job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from airflow_edge.gateway.links.registry import Parked
from airflow_edge.protocol import messages
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Refused
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.orders import WorkerOrder
from airflow_edge.rules.worker import Admission, Holder
from airflow_edge.store.jobs.jobs import AssignedJob
from airflow_edge.store.store import Store
from airflow_edge.store.workers.instances import NO_CLAIM, Claim, Claimed
from airflow_edge.store.workers.workers import LinkFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A worker that links."""

    worker_id: UUID
    jobs: Collection[messages.HeldJob]
    """All the jobs that the site answers for."""
    facts: LinkFacts
    parked: Parked | None
    """A conversation with it that this process remembers."""
    claim: Claim = NO_CLAIM


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What came of it."""

    resumed: bool
    """The remembered conversation goes on."""
    held: tuple[AssignedJob, ...]
    """Jobs that both sides know to be there, or that are about to be offered again."""
    void: tuple[AssignmentKey, ...]
    """Jobs at the site that it should not have."""
    orders: tuple[WorkerOrder, ...]
    """What it was asked for and has not answered."""
    requeued: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Nothing came of it, since somebody else has the worker's key."""

    holder: Holder
    asks: bool
    """It is to be asked whether it lives; else it does, and another instance is refused."""


def reconcile(store: Store, arrivals: Sequence[Arrival], *, now: datetime) -> list[Reconciled | Kept]:
    """Note the links of different workers and settle what each of them and the centre disagree about."""
    claims = {arrival.worker_id: arrival.claim for arrival in arrivals}
    came = store.workers.link({arrival.worker_id: arrival.facts for arrival in arrivals}, claims, now=now)
    links = [worker_id for worker_id, (verdict, _) in came.items() if verdict is Admission.ENTER]
    held, orders = defaultdict(list), defaultdict(list)
    for job in store.jobs.held_by(links):
        held[job.worker_id].append(job)
    for order in store.orders.waiting(links):
        orders[order.worker_id].append(order)
    return [
        Kept(holder=came[one.worker_id].before, asks=came[one.worker_id].verdict is Admission.ASK)
        if one.worker_id in came and one.worker_id not in links
        else _settle(store, one, came.get(one.worker_id), held[one.worker_id], orders[one.worker_id], now=now)
        for one in arrivals
    ]


def _settle(
    store: Store,
    arrival: Arrival,
    came: Claimed | None,
    jobs: Collection[AssignedJob],
    orders: Sequence[WorkerOrder],
    *,
    now: datetime,
) -> Reconciled:
    parked = arrival.parked
    # It goes on only if the worker has linked nowhere else since: the numbers would not fit.
    resumed = parked is not None and came is not None and parked.link_id == came.before.link_id
    there = {job.key: job.phase for job in arrival.jobs}
    coming = parked.offered() if resumed and parked else set()
    held = {job.key: job for job in jobs}
    missing = {key: job for key, job in held.items() if key not in there and key not in coming}
    unanswered = [key for key, job in missing.items() if job.state is JobState.LEASED]
    gone = [job.id for job in missing.values() if job.state is JobState.RUNNING]
    if unanswered:
        reason = "the worker linked anew without it"
        store.jobs.settle(arrival.worker_id, [Refused(**key._asdict(), reason=reason) for key in unanswered], now=now)
    if gone:
        store.jobs.lose(arrival.worker_id, gone, "its worker came back without it", now=now)
    return Reconciled(
        resumed=resumed,
        held=tuple(job for key, job in held.items() if key not in missing),
        # One that has ended needs no word: its report says all, and its log may still be on the way.
        void=tuple(key for key, phase in there.items() if key not in held and phase != "ended"),
        orders=tuple(orders),
        requeued=len(unanswered),
        lost=len(gone),
    )
