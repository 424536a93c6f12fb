"""What people want of workers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.states import MAINTENANCE, WorkerState
from airflow_edge.rules.acts.consequences import NAME_TAKEN
from airflow_edge.rules.fleet.events import RENAMED, Happening, answered, happened
from airflow_edge.rules.orders import (
    ASKED_STATES,
    EXIT_REFUSED,
    RIVALS,
    AlreadySoError,
    OrderState,
    Wish,
    WorkerOrder,
    effect,
)
from airflow_edge.rules.worker import DEFAULT_MAX_SLOTS
from airflow_edge.store.columns import to_value
from airflow_edge.store.tables import WorkerOrderRow, WorkerRow
from airflow_edge.store.transactions import StorePart, lock, reading, writing
from airflow_edge.store.workers.events import condition_of, note, noting

ENDS_AS_ASKED_BY: Final = "ends as asked by "
"""Begins the name of whoever gives an order that somebody has asked for earlier."""


class WorkerOrders(StorePart):
    """Orders to workers, and what became of them."""

    @writing
    def give(self, session: Session, worker_id: UUID, wish: Wish, *, by: str, now: datetime) -> WorkerOrder | None:
        """Write an order down, and what it makes of the worker's state; None if there is no such worker.

        :raises AlreadySoError: it is so already; nothing is changed.
        :raises IllegalTransitionError: it is not possible in the worker's state; nothing is changed.
        """
        row = session.get(WorkerRow, worker_id, with_for_update=True)
        if row is None:
            return None
        with noting(session, row, by=by, now=now):
            return _give(session, row, wish, by=by, now=now)

    @reading
    def maintenance_due(self, session: Session, now: datetime) -> dict[UUID, datetime]:
        """Give the workers whose maintenance is to end by itself by now and can, and since when."""
        query = select(WorkerRow.id, WorkerRow.maintenance_until).where(
            WorkerRow.maintenance_until <= now, WorkerRow.state.not_in(EXIT_REFUSED)
        )
        return {worker_id: until for worker_id, until in session.execute(query) if until is not None}

    @writing
    def end_maintenance(
        self, session: Session, worker_id: UUID, until: datetime, *, now: datetime
    ) -> WorkerOrder | None:
        """Give a worker the order that ends its maintenance as it was asked for with it.

        None if another gateway has given it, somebody has wanted something else since, or the worker is in none any
        more, or in one that the site has begun. One that is starting or shutting down is told afterwards.
        """
        row = session.get(WorkerRow, worker_id, with_for_update=True)
        if row is None or row.maintenance_until != until:
            return None
        if row.maintenance_cause in {"site", "system"}:
            row.maintenance_until = None
            return None
        try:
            by = f"{ENDS_AS_ASKED_BY}{row.maintenance_by or ''}"
            return _give(session, row, Wish("exit maintenance"), by=by, now=now)
        except AlreadySoError:
            row.maintenance_until = None
        except IllegalTransitionError:
            if row.revoked_at is not None:
                row.maintenance_until = None
        return None

    def waiting(self, worker_ids: Collection[UUID]) -> list[WorkerOrder]:
        """Give the orders that these workers have not answered, in the order in which they were given."""
        return self._orders(
            select(WorkerOrderRow)
            .where(WorkerOrderRow.state == OrderState.WAITING, WorkerOrderRow.worker_id.in_(worker_ids))
            .order_by(WorkerOrderRow.asked_at, WorkerOrderRow.id)
        )

    @writing
    def obeyed(
        self,
        session: Session,
        worker_id: UUID,
        order_id: UUID,
        state: WorkerState,
        *,
        done: bool,
        detail: str,
        now: datetime,
    ) -> bool:
        """Note a worker's answer and its state from then on; False if nobody waits for it any more."""
        row = session.get(WorkerRow, worker_id, with_for_update=True)
        order = session.scalar(
            select(WorkerOrderRow)
            .where(
                WorkerOrderRow.id == order_id,
                WorkerOrderRow.worker_id == worker_id,
                WorkerOrderRow.state == OrderState.WAITING,
            )
            .with_for_update()
        )
        if row is None or order is None:
            return False
        before, was_called = condition_of(row), row.name
        taken = order.kind == "rename" and _is_taken(session, order.text, worker_id)
        done_here = done and not taken
        order.state = OrderState.DONE if done_here else OrderState.REFUSED
        order.detail = NAME_TAKEN.format(order.text) if taken else detail
        order.finished_at = now
        if done_here and order.kind == "rename":
            row.name = order.text
            row.changed_at = now
        if done_here and order.kind == "concurrency" and order.number:
            row.concurrency = order.number
            # Who may ask this of it may allow it, too.
            row.max_slots = max(order.number, row.max_slots or DEFAULT_MAX_SLOTS)
        if order.kind in ASKED_STATES:
            row.asked_state = None
            row.state = state
            row.changed_at = now
        if order.kind == ("exit maintenance" if done else "maintenance") and state not in MAINTENANCE:
            row.forget_maintenance()
        happenings = [answered(order.kind, order.text, order.number, order.detail, done=done_here)]
        if row.name != was_called:
            happenings.append(Happening(RENAMED, f"from '{was_called}' to '{row.name}'"))
        happenings += happened(before, condition_of(row))
        note(session, row.id, happenings, by=order.asked_by, now=now)
        return True

    def get(self, order_id: UUID) -> WorkerOrder | None:
        """Give an order by its id."""
        return next(iter(self._orders(select(WorkerOrderRow).where(WorkerOrderRow.id == order_id))), None)

    def newest(self, worker_id: UUID, *, limit: int) -> list[WorkerOrder]:
        """Give the orders to a worker, newest first, at most `limit`."""
        return self._orders(
            select(WorkerOrderRow)
            .where(WorkerOrderRow.worker_id == worker_id)
            .order_by(WorkerOrderRow.asked_at.desc(), WorkerOrderRow.id)
            .limit(limit)
        )

    @writing
    def purge(self, session: Session, *, before: datetime, limit: int) -> int:
        """Delete answered orders that were given before then, at most `limit`; say how many."""
        old = WorkerOrderRow.asked_at < before, WorkerOrderRow.state != OrderState.WAITING
        ids = lock(session, select(WorkerOrderRow.id).where(*old).limit(limit))
        session.execute(delete(WorkerOrderRow).where(WorkerOrderRow.id.in_(ids)))
        return len(ids)

    @reading
    def _orders(self, session: Session, query: Select[WorkerOrderRow]) -> list[WorkerOrder]:
        return [to_value(WorkerOrder, row) for row in session.scalars(query)]


def _give(session: Session, row: WorkerRow, wish: Wish, *, by: str, now: datetime) -> WorkerOrder:
    changes = (wish.text, wish.until) != (row.maintenance_comment, row.maintenance_until)
    after, asked = effect(row.state, wish.kind, revoked=row.revoked_at is not None, comment_changes=changes)
    asked_for = wish.kind
    if wish.kind == "maintenance" and asked is None:
        # It is in maintenance: what is new is the comment, or the end, which the centre keeps.
        wish = replace(wish, kind="maintenance comment")
    if wish.kind == "rename" and _is_taken(session, wish.text, row.id):
        raise IllegalTransitionError(NAME_TAKEN.format(wish.text))
    row.state, row.asked_state = after, asked or row.asked_state
    if wish.kind in {"maintenance", "maintenance comment"}:
        row.maintenance_comment = wish.text
    elif row.state is WorkerState.OFFLINE:
        row.forget_maintenance()
    if asked_for == "maintenance":
        row.maintenance_until, row.maintenance_by = wish.until, by
        if wish.kind == "maintenance":
            row.maintenance_cause = "admin"
    elif wish.kind == "exit maintenance":
        row.maintenance_until = None
    row.changed_at = now
    session.execute(
        update(WorkerOrderRow)
        .where(
            WorkerOrderRow.worker_id == row.id,
            WorkerOrderRow.state == OrderState.WAITING,
            WorkerOrderRow.kind.in_(RIVALS[wish.kind]),
        )
        .values(state=OrderState.SUPERSEDED, detail=f"then came: {wish.kind}", finished_at=now)
    )
    order = WorkerOrder(
        id=uuid4(),
        worker_id=row.id,
        kind=wish.kind,
        text=wish.text,
        number=wish.number,
        asked_by=by,
        asked_at=now,
        state=OrderState.WAITING,
    )
    session.add(WorkerOrderRow(**asdict(order)))
    return order


def _is_taken(session: Session, name: str, worker_id: UUID) -> bool:
    return session.scalar(select(WorkerRow.id).where(WorkerRow.name == name, WorkerRow.id != worker_id)) is not None
