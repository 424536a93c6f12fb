"""What people want of a linked worker, on its way there, and its answers on their way into the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from airflow_edge.gateway.database.calls import persist
from airflow_edge.protocol.messages import CentreFrame, Obeyed, Order, OrderKind
from airflow_edge.protocol.states import WorkerState
from airflow_edge.protocol.version import ORDERS
from airflow_edge.rules.model import WorkerOrder

MOST_WAITING = 100
"""Answers that wait; when there are more, the link is not read any further."""
TOO_OLD: Final = "the worker's version does not understand this; update airflow-edge at the site"

_PAUSING: Final[frozenset[OrderKind]] = frozenset({"maintenance", "shutdown"})


class OrderLane:
    """The orders of one link."""

    def __init__(
        self,
        protocol: int,
        obeyed: Callable[[Obeyed], Awaitable[bool]],
        pending: Iterable[CentreFrame] = (),
    ) -> None:
        """Set it up; `run` does the work.

        :param protocol: the version that the link speaks
        :param obeyed: notes an answer
        :param pending: what is under way in a resumed conversation
        """
        self.understood = protocol >= ORDERS
        """Whether the worker knows orders at all."""
        self._obeyed = obeyed
        self._told = {frame.body.order_id: frame.body for frame in pending if isinstance(frame.body, Order)}
        self._pausing: set[str] = set()
        self._answers: asyncio.Queue[tuple[int, Obeyed]] = asyncio.Queue(MOST_WAITING)

    @property
    def pauses(self) -> bool:
        """Whether the worker has been told to take no job, and has not answered yet."""
        return bool(self._pausing)

    def new(self, orders: Iterable[WorkerOrder], state: WorkerState) -> list[Order]:
        """Give what the worker has not been told yet of the orders that wait for it; an old one refuses at once."""
        fresh = [
            Order(order_id=str(order.id), kind=order.kind, text=order.text, number=order.number)
            for order in orders
            if str(order.id) not in self._told
        ]
        if not self.understood:
            for order in fresh[: MOST_WAITING - self._answers.qsize()]:
                self._told[order.order_id] = order
                refusal = Obeyed(order_id=order.order_id, done=False, detail=TOO_OLD, state=state)
                self._answers.put_nowait((0, refusal))
            return []
        self._told.update((order.order_id, order) for order in fresh)
        self._pausing.update(order.order_id for order in fresh if order.kind in _PAUSING)
        return fresh

    async def put(self, seq: int, answer: Obeyed) -> None:
        """Add an answer, as soon as there is room."""
        await self._answers.put((seq, answer))

    async def run(self, finished: Callable[[int, Order | None], None]) -> None:
        """Note answers until cancelled.

        :param finished: is told the number of each message that was dealt with, 0 if it was none of the worker's, and
            the order if it was done
        """
        while True:
            seq, answer = await self._answers.get()
            await persist(lambda answer=answer: self._obeyed(answer))  # type: ignore[misc]
            self._pausing.discard(answer.order_id)
            finished(seq, self._told.get(answer.order_id) if answer.done else None)
