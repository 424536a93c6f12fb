"""Loops that run beside the requests, watched: one that crashes is begun again, and told of by the gateway's health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from airflow_edge.backoff import Backoff
from airflow_edge.gateway.database.calls import StoreUnavailableError

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between a crash and the next attempt; begun anew after a long run."""
REMEMBERED = 600.0
"""Seconds for which a crash is told of."""

Work = Callable[[], Awaitable[None]]


class Background:
    """The loops of one gateway."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._crashes: dict[str, tuple[float, str]] = {}

    def start(self, name: str, loop: Work) -> None:
        """Run a loop, which ends only by being cancelled, until `stop`; again after each crash."""
        self._tasks.append(asyncio.create_task(self._keep_running(name, loop), name=name))

    def repeat(self, name: str, interval: float, *steps: Work) -> None:
        """Carry out the steps again and again until `stop`; what the database prevents is done the next time.

        :param interval: seconds
        """

        async def loop() -> None:
            while True:
                # It was logged.
                with suppress(StoreUnavailableError):
                    for step in steps:
                        await step()
                await asyncio.sleep(interval)

        self.start(name, loop)

    async def stop(self) -> None:
        """Cancel all loops and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def trouble(self) -> str | None:
        """Say which loops have crashed lately, and what with; None if none has."""
        since = asyncio.get_running_loop().time() - REMEMBERED
        recent = [f"the {name} ({error})" for name, (at, error) in self._crashes.items() if at >= since]
        return (
            f"Failed lately, and begun again: {', '.join(recent)}; the API server's log says more." if recent else None
        )

    async def _keep_running(self, name: str, loop: Work) -> None:
        clock = asyncio.get_running_loop().time
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            began = clock()
            try:
                await loop()
                self._crashes[name] = clock(), "ended by itself"
                log.error("The %s of the edge gateway ended by itself; it is started again", name)
            # Whatever went wrong must not end the loop for the rest of the API server's life.
            except Exception as error:
                self._crashes[name] = clock(), type(error).__name__
                log.exception("The %s of the edge gateway failed; it is started again", name)
            if clock() - began > LONGEST_PAUSE:
                pauses.reset()
            await asyncio.sleep(pauses.next())
