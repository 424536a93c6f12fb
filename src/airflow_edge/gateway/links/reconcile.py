"""What the centre and a worker that links hold against each other: who has which job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from airflow_edge.gateway.links.orders import refuse_orders
from airflow_edge.protocol import messages
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Refused
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.orders import WorkerOrder
from airflow_edge.store.jobs.jobs import AssignedJob
from airflow_edge.store.store import Store
from airflow_edge.store.workers.workers import LinkFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """A conversation with this worker that this process remembers."""

    link_id: UUID
    offered: Collection[AssignmentKey]
    """Offers in it that the site has not acknowledged; they are sent again if it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A worker that links."""

    worker_id: UUID
    jobs: Collection[messages.HeldJob]
    """All the jobs that the site answers for."""
    facts: LinkFacts
    knows_orders: bool = True
    previous: Previous | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
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


def admit(store: Store, entrants: Sequence[Entrant], *, now: datetime) -> list[Admission]:
    """Note the links of different workers and settle what each of them and the centre disagree about."""
    links = {entrant.worker_id: entrant.facts for entrant in entrants}
    last = store.workers.link(links, now=now)
    held, orders = defaultdict(list), defaultdict(list)
    for job in store.jobs.held_by(links):
        held[job.worker_id].append(job)
    for order in store.orders.waiting(links):
        orders[order.worker_id].append(order)

    def settle(entrant: Entrant) -> Admission:
        worker_id = entrant.worker_id
        return _settle(store, entrant, last.get(worker_id), held[worker_id], orders[worker_id], now=now)

    return [settle(entrant) for entrant in entrants]


def _settle(
    store: Store,
    entrant: Entrant,
    last: UUID | None,
    jobs: Collection[AssignedJob],
    orders: Sequence[WorkerOrder],
    *,
    now: datetime,
) -> Admission:
    previous = entrant.previous
    # It goes on only if the worker has linked nowhere else since: the numbers would not fit.
    resumed = previous is not None and previous.link_id == last
    there = {job.key: job.phase for job in entrant.jobs}
    coming = set(previous.offered) if resumed and previous else set()
    held = {job.key: job for job in jobs}
    missing = {key: job for key, job in held.items() if key not in there and key not in coming}
    unanswered = [key for key, job in missing.items() if job.state is JobState.LEASED]
    gone = [job.id for job in missing.values() if job.state is JobState.RUNNING]
    if unanswered:
        reason = "the worker linked anew without it"
        store.jobs.settle(entrant.worker_id, [Refused(**key._asdict(), reason=reason) for key in unanswered], now=now)
    if gone:
        store.jobs.lose(entrant.worker_id, gone, "its worker came back without it", now=now)
    if not entrant.knows_orders:
        refuse_orders(store, entrant.worker_id, orders, entrant.facts.state, now=now)
        orders = ()
    return Admission(
        resumed=resumed,
        held=tuple(job for key, job in held.items() if key not in missing),
        # One that has ended needs no word: its report says all, and its log may still be on the way.
        void=tuple(key for key, phase in there.items() if key not in held and phase != "ended"),
        orders=tuple(orders),
        requeued=len(unanswered),
        lost=len(gone),
    )
