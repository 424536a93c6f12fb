"""What one worker was told to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from airflow_edge.protocol.frames import CentreFrame
from airflow_edge.protocol.messages import Obeyed, Order, OrderKind
from airflow_edge.rules.orders import WorkerOrder

_PAUSING: Final[frozenset[OrderKind]] = frozenset({"maintenance", "shutdown"})


class ToldOrders:
    """The orders that one worker was told."""

    def __init__(self, pending: Iterable[CentreFrame] = ()) -> None:
        """:param pending: what is under way in a resumed conversation"""
        self._told = {frame.body.order_id: frame.body for frame in pending if isinstance(frame.body, Order)}
        self._pausing: set[str] = set()

    @property
    def pauses(self) -> bool:
        """Whether the worker has been told to take no job, and has not answered yet."""
        return bool(self._pausing)

    def new(self, orders: Iterable[WorkerOrder]) -> list[Order]:
        """Give what the worker has not been told yet of the orders that wait for it."""
        fresh = [
            Order(order_id=str(order.id), kind=order.kind, text=order.text, number=order.number)
            for order in orders
            if str(order.id) not in self._told
        ]
        self._told.update((order.order_id, order) for order in fresh)
        self._pausing.update(order.order_id for order in fresh if order.kind in _PAUSING)
        return fresh

    def answered(self, answer: Obeyed) -> Order | None:
        """Give the order that this is the answer to, if it was done."""
        self._pausing.discard(answer.order_id)
        return self._told.get(answer.order_id) if answer.done else None
