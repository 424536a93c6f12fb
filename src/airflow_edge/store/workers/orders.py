"""What people want of workers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.states import MAINTENANCE, WorkerState
from airflow_edge.rules.acts.consequences import NAME_TAKEN
from airflow_edge.rules.orders import ASKED_STATES, RIVALS, OrderState, Wish, WorkerOrder, effect
from airflow_edge.store.columns import to_value
from airflow_edge.store.tables import WorkerOrderRow, WorkerRow
from airflow_edge.store.transactions import StorePart, lock, reading, writing


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
        other_comment = wish.text != row.maintenance_comment
        revoked = row.revoked_at is not None
        after, asked = effect(row.state, wish.kind, revoked=revoked, comment_changes=other_comment)
        if wish.kind == "maintenance" and asked is None:
            # It is in maintenance: what is new is the comment.
            wish = replace(wish, kind="maintenance comment")
        if wish.kind == "rename" and _is_taken(session, wish.text, worker_id):
            raise IllegalTransitionError(NAME_TAKEN.format(wish.text))
        row.state, row.asked_state = after, asked or row.asked_state
        if wish.kind in {"maintenance", "maintenance comment"}:
            row.maintenance_comment = wish.text
        elif row.state is WorkerState.OFFLINE:
            row.maintenance_comment, row.maintenance_cause = "", None
        if wish.kind == "maintenance":
            row.maintenance_cause = "admin"
        row.changed_at = now
        session.execute(
            update(WorkerOrderRow)
            .where(
                WorkerOrderRow.worker_id == worker_id,
                WorkerOrderRow.state == OrderState.WAITING,
                WorkerOrderRow.kind.in_(RIVALS[wish.kind]),
            )
            .values(state=OrderState.SUPERSEDED, detail=f"then came: {wish.kind}", finished_at=now)
        )
        order = WorkerOrder(
            id=uuid4(),
            worker_id=worker_id,
            kind=wish.kind,
            text=wish.text,
            number=wish.number,
            asked_by=by,
            asked_at=now,
            state=OrderState.WAITING,
        )
        session.add(WorkerOrderRow(**asdict(order)))
        return order

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
        if order.kind in ASKED_STATES:
            row.asked_state = None
            row.state = state
            row.changed_at = now
        if order.kind == ("exit maintenance" if done else "maintenance") and state not in MAINTENANCE:
            row.maintenance_comment, row.maintenance_cause = "", None
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


def _is_taken(session: Session, name: str, worker_id: UUID) -> bool:
    return session.scalar(select(WorkerRow.id).where(WorkerRow.name == name, WorkerRow.id != worker_id)) is not None
