"""Loops that run beside the requests, watched: one that crashes is logged and begun again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from airflow_edge.backoff import Backoff

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between a crash and the next attempt: begun anew after a long run."""


class Background:
    """The loops of one gateway. Each is a coroutine function that only ends by being cancelled."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run the loop until `stop`."""
        self._tasks.append(asyncio.create_task(keep_running(name, loop), name=name))

    async def stop(self) -> None:
        """Cancel all loops and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


async def keep_running(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop, again after each crash, until cancelled."""
    clock = asyncio.get_running_loop().time
    pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        began = clock()
        try:
            await loop()
            log.error("The %s of the edge gateway ended by itself; it is started again", name)
        # Whatever went wrong must not end the loop for the rest of the API server's life.
        except Exception:
            log.exception("The %s of the edge gateway failed; it is started again", name)
        if clock() - began > LONGEST_PAUSE:
            pauses.reset()
        await asyncio.sleep(pauses.next())
