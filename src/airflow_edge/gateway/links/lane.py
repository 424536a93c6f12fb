"""The tasks of one link: two while it is idle, and one more for each kind of message that is being worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class LinkTasks:
    """Tasks that live no longer than their link."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        """:param failed: is told what a task has failed with"""
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run this beside the others."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    async def cancel(self) -> None:
        """End all of them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Lane(Generic[T]):
    """Messages that are worked on in the order in which they came, by a task that is there only while there are any."""

    def __init__(
        self,
        name: str,
        tasks: LinkTasks,
        work: Callable[[list[T]], Awaitable[None]],
        *,
        most_waiting: int,
        most_at_once: int = 1,
    ) -> None:
        """:param work: is given those that wait, `most_at_once` of them, and then the next"""
        self._name = name
        self._tasks = tasks
        self._work = work
        self._most_at_once = most_at_once
        self._waiting: asyncio.Queue[T] = asyncio.Queue(most_waiting)
        self._working = False

    @property
    def full(self) -> bool:
        """Whether the next one would have to wait for room."""
        return self._waiting.full()

    async def put(self, message: T) -> None:
        """Add a message, as soon as there is room."""
        await self._waiting.put(message)
        if not self._working:
            self._working = True
            self._tasks.start(self._work_off(), self._name)

    async def _work_off(self) -> None:
        while not self._waiting.empty():
            few = min(self._waiting.qsize(), self._most_at_once)
            await self._work([self._waiting.get_nowait() for _ in range(few)])
        self._working = False
