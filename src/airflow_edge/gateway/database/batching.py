"""Questions to the store that share its transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from airflow_edge.gateway.database.apart import each_apart

Q = TypeVar("Q")
A = TypeVar("A")

MOST_AT_ONCE = 100


class Coalesced(Generic[Q, A]):
    """Those who ask during one call share the next: all sites may come back at once."""

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        """Set it up.

        :param answer: answers questions in their order; called once at a time
        """
        self._answer = answer
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """Give the answer, or raise what it came to."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        # A task of its own: one who goes away must not take the answer from the others.
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                await self._ask(some)
        finally:
            self._asking = None

    async def _ask(self, some: list[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            # What one asks must not be the others' loss.
            for (_, answer), error in await each_apart(self._answer_all, some):
                _fail([answer], error)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to hear of it
            _fail([answer for _, answer in some], error)
        except BaseException:
            for _, answer in some:
                answer.cancel()
            raise

    async def _answer_all(self, some: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        answers = await self._answer([question for question, _ in some])
        for (_, answer), given in zip(some, answers, strict=True):
            if not answer.done():
                answer.set_result(given)


def _fail(waiting: Sequence[asyncio.Future[A]], error: Exception) -> None:
    for answer in waiting:
        if not answer.done():
            answer.set_exception(error)
