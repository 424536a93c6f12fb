"""Requests of links by long polling, on their way from the process that they have met to the one that has the link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from typing import Final
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, undefer

from airflow_edge.store.columns import batches, to_value
from airflow_edge.store.tables import PassedRequestRow
from airflow_edge.store.transactions import StorePart, change, lock, notify, reading, writing

PASSED: Final = "passed "
"""How the notification begins that something has changed for a gateway; its tag follows."""
MOST_AT_ONCE: Final = 50
"""Requests that are taken in one transaction: each may have a body of megabytes."""


class Passage(IntEnum):
    """How far a request has come."""

    ASKED = 0
    TAKEN = 1
    ANSWERED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedRequest:
    """A request whose worker is known for certain."""

    id: UUID
    asker: str
    """The tag of the gateway that it has met."""
    owner: str
    """The tag of the gateway that has the link."""
    worker_id: UUID
    link: str
    token_id: str
    """The id of the token that it came with, which is good once."""
    expires_at: datetime
    """When that token can be good no more."""
    body: bytes
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What one gateway has to tell the others."""

    asked: Sequence[PassedRequest] = ()
    answers: Sequence[tuple[PassedRequest, bytes]] = ()
    """To requests of others."""
    given_up: Sequence[PassedRequest] = ()
    """Its own, for which nobody waits any more."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.asked or self.answers or self.given_up)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What there is for one gateway."""

    requests: Sequence[PassedRequest] = ()
    """Of others; they count as taken now, and are given once."""
    answers: Mapping[UUID, bytes] = field(default_factory=dict)
    """To its own, by their ids; they are given once."""
    ours: Mapping[UUID, Passage] = field(default_factory=dict)
    """How far its own have come that are under way."""
    others: Mapping[UUID, Passage] = field(default_factory=dict)
    """The same of those that it is asked; nobody waits for one that is not among them."""


class PassedRequests(StorePart):
    """Requests that are under way between gateways."""

    def exchange(self, gateway: str, outgoing: Outgoing) -> Incoming:
        """Tell and hear; where there is nothing to tell and no news, no lock is taken.

        :param gateway: the tag of the gateway that calls; it makes one such call at a time
        """
        if not outgoing:
            seen = self._look(gateway)
            if Passage.ANSWERED not in seen.ours.values() and Passage.ASKED not in seen.others.values():
                return seen
        return self._exchange(gateway, outgoing)

    @reading
    def _look(self, session: Session, gateway: str) -> Incoming:
        return _seen(session, gateway)

    @writing
    def _exchange(self, session: Session, gateway: str, outgoing: Outgoing) -> Incoming:
        row = PassedRequestRow
        if outgoing.asked:
            session.execute(insert(row), [asdict(one) | {"passage": Passage.ASKED} for one in outgoing.asked])
        # In the same order everywhere, so that no two wait for each other.
        for request, answer in sorted(outgoing.answers, key=lambda one: one[0].id):
            answered = update(row).where(row.id == request.id)
            change(session, answered.values(answer=answer, passage=Passage.ANSWERED))
        _drop(session, [request.id for request in outgoing.given_up])
        seen = _seen(session, gateway)
        answers: dict[UUID, bytes] = {}
        for some in batches(one for one, passage in seen.ours.items() if passage is Passage.ANSWERED):
            rows = session.execute(select(row.id, row.answer).where(row.id.in_(some)))
            answers.update((request_id, answer or b"") for request_id, answer in rows)
        _drop(session, answers)
        asked = select(row).where(row.owner == gateway, row.passage == Passage.ASKED).order_by(row.asked_at)
        found = session.scalars(asked.options(undefer(row.body)).limit(MOST_AT_ONCE))
        requests = [to_value(PassedRequest, one) for one in found]
        if requests:
            taken = update(row).where(row.id.in_([request.id for request in requests]))
            change(session, taken.values(passage=Passage.TAKEN))
        told = {one.owner for one in (*outgoing.asked, *outgoing.given_up)}
        for other in sorted(told | {request.asker for request, _ in outgoing.answers}):
            notify(session, PASSED + other)
        return replace(seen, requests=requests, answers=answers)

    @writing
    def forget(self, session: Session, *, before: datetime, limit: int) -> int:
        """Delete what those have left that are gone, at most `limit`; say how many."""
        old = lock(session, select(PassedRequestRow.id).where(PassedRequestRow.asked_at < before).limit(limit))
        return change(session, delete(PassedRequestRow).where(PassedRequestRow.id.in_(old)))


def _seen(session: Session, gateway: str) -> Incoming:
    def under_way(column: InstrumentedAttribute[str]) -> dict[UUID, Passage]:
        found = session.execute(select(PassedRequestRow.id, PassedRequestRow.passage).where(column == gateway))
        return {request_id: Passage(passage) for request_id, passage in found}

    return Incoming(ours=under_way(PassedRequestRow.asker), others=under_way(PassedRequestRow.owner))


def _drop(session: Session, ids: Iterable[UUID]) -> None:
    for some in batches(sorted(ids)):
        change(session, delete(PassedRequestRow).where(PassedRequestRow.id.in_(some)))
