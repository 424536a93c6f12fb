"""The tasks of one link: two while it is idle, and one more for each kind of message that is being worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
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
        taken: Callable[[T], AbstractAsyncContextManager[None]],
    ) -> None:
        """:param work: is given those that wait, `most_at_once` of them, and then the next
        :param taken: takes up room in memory for a message, as soon as there is, until it is worked on
        """
        self._name = name
        self._tasks = tasks
        self._work = work
        self._most_at_once = most_at_once
        self._taken = taken
        self._waiting: asyncio.Queue[tuple[T, AsyncExitStack]] = asyncio.Queue(most_waiting)
        self._working = False

    @property
    def full(self) -> bool:
        """Whether the next one would have to wait for room."""
        return self._waiting.full()

    async def put(self, message: T) -> None:
        """Add a message, as soon as there is room."""
        room = AsyncExitStack()
        await room.enter_async_context(self._taken(message))
        try:
            await self._waiting.put((message, room))
        except BaseException:
            await room.aclose()
            raise
        if not self._working:
            self._working = True
            self._tasks.start(self._work_off(), self._name)

    async def _work_off(self) -> None:
        while not self._waiting.empty():
            few = min(self._waiting.qsize(), self._most_at_once)
            async with AsyncExitStack() as rooms:
                messages = []
                for _ in range(few):
                    message, room = self._waiting.get_nowait()
                    messages.append(message)
                    rooms.push_async_exit(room)
                await self._work(messages)
        self._working = False

    async def clear(self) -> None:
        """Forget what waits."""
        while not self._waiting.empty():
            await self._waiting.get_nowait()[1].aclose()
