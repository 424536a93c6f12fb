"""Offers that are answered later: one that is refused because nothing is ready yet would come back at once."""

from __future__ import annotations

from collections.abc import Callable

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Offer


class WaitingOffers:
    """Offers that nobody has answered yet, at most one of each job."""

    def __init__(self) -> None:
        self._offers: dict[str, tuple[Offer, float]] = {}

    def add(self, offer: Offer, now: float) -> None:
        """Keep an offer until its lease runs out; it replaces an older one of its job."""
        self._offers[offer.job_id] = (offer, now + offer.lease)

    def newest_assignment(self, job_id: str) -> int:
        """Give the assignment of this job that waits, 0 if none does."""
        waiting = self._offers.get(job_id)
        return waiting[0].assignment if waiting else 0

    def drop(self, job_id: str) -> None:
        """Forget what waits of this job."""
        self._offers.pop(job_id, None)

    def withdraw(self, key: AssignmentKey) -> bool:
        """Forget exactly this offer, and say whether it waited."""
        waited = self.newest_assignment(key.job_id) == key.assignment
        if waited:
            self.drop(key.job_id)
        return waited

    def withdraw_all(self) -> list[AssignmentKey]:
        """Forget all, and say which waited."""
        keys = [key_of(offer) for offer, _ in self._offers.values()]
        self._offers.clear()
        return keys

    def take(self, may_go: Callable[[AssignmentKey], bool], now: float) -> list[Offer]:
        """Give those that need not wait any longer; they, and those whose lease is over, do not wait here any more."""
        self._offers = {job_id: waiting for job_id, waiting in self._offers.items() if waiting[1] > now}
        ready = [offer for offer, _ in self._offers.values() if may_go(key_of(offer))]
        for offer in ready:
            self.drop(offer.job_id)
        return ready


def key_of(offer: Offer) -> AssignmentKey:
    """Name the assignment that an offer is."""
    return offer.key
