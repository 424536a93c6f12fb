"""The workers linked to this process, and the conversations that may go on when their connection comes back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID
from weakref import WeakValueDictionary

from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.frames import CentreFrame, SiteFrame
from airflow_edge.protocol.messages import Offer
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.session import Session

PARKED_FOR = 60.0
"""Seconds for which the conversation of a closed link is remembered."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A conversation without a connection."""

    link_id: UUID
    session: Session[CentreFrame, SiteFrame]
    until: float = math.inf

    def offered(self) -> set[AssignmentKey]:
        """Give the offers in it that the site has not acknowledged; they are sent again if it goes on."""
        return {frame.body.key for frame in self.session.pending() if isinstance(frame.body, Offer)}


class Links:
    """The links of one gateway process: at most one for each worker."""

    def __init__(self, demand: Demand) -> None:
        """:param demand: is told of them"""
        self._demand = demand
        self._links: dict[UUID, WorkerLink] = {}
        self._parked: dict[UUID, Parked] = {}
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    def __iter__(self) -> Iterator[WorkerLink]:
        return iter(list(self._links.values()))

    def __len__(self) -> int:
        return len(self._links)

    def get(self, worker_id: UUID) -> WorkerLink | None:
        """Give the worker's link if it is open."""
        link = self._links.get(worker_id)
        return link if link is not None and link.open else None

    def void(self, worker_id: UUID, key: AssignmentKey, reason: str) -> None:
        """Tell the worker, if it is linked here, that an assignment does not count any more."""
        if (link := self.get(worker_id)) is not None:
            link.void_job(key, reason)

    def lock(self, worker_id: UUID) -> asyncio.Lock:
        """Give what lets the connections of one worker in one after the other."""
        # Gone when nobody has it any more.
        lock = self._locks.get(worker_id) or asyncio.Lock()
        self._locks[worker_id] = lock
        return lock

    def take_over(self, worker_id: UUID, *, now: float) -> Parked | None:
        """Close the worker's link, if it has one, and give the remembered conversation, if there is one."""
        link = self._links.get(worker_id)
        if link is not None:
            link.close(CloseCode.REPLACED, "a newer link of this worker has replaced it")
            self.remove(link, now=now)
        parked = self._parked.pop(worker_id, None)
        return parked if parked is not None and parked.until >= now else None

    def park_again(self, worker_id: UUID, parked: Parked | None) -> None:
        """Remember a conversation that `take_over` gave, for nobody has taken it over."""
        if parked is not None:
            self._parked.setdefault(worker_id, parked)

    def add(self, link: WorkerLink) -> None:
        """Let the dispatcher and the keeper know of a link."""
        self._links[link.worker.id] = link
        self._demand.arrived(link)

    def remove(self, link: WorkerLink, *, now: float) -> None:
        """Forget a link that has ended, but not its conversation, unless it was closed for good."""
        self._demand.left(link)
        if self._links.get(link.worker.id) is link:
            del self._links[link.worker.id]
            if link.resumable:
                self._parked[link.worker.id] = Parked(link.id, link.session, now + PARKED_FOR)

    def forget_parked(self, now: float) -> None:
        """Drop the conversations that nobody came back for."""
        self._parked = {worker_id: parked for worker_id, parked in self._parked.items() if parked.until >= now}
