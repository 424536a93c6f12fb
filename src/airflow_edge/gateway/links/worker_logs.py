"""A worker's own log on its way into the store: whatever is too much is dropped, for nothing may wait because of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.protocol.messages import WorkerLog

MOST_WAITING = 8
BYTES_PER_SECOND = 32 * 1024
BURST = 512 * 1024
"""Compressed bytes that a worker may send at once, and for how many more each second stands."""
COST = 1024
"""Bytes that a batch counts for beside its data: each costs a transaction."""


class WorkerLogLane:
    """The own log of one linked worker."""

    def __init__(self, append: Callable[[WorkerLog], Awaitable[object]]) -> None:
        """Set it up; `run` does the work.

        :param append: stores a batch
        """
        self._append = append
        self._waiting: asyncio.Queue[WorkerLog] = asyncio.Queue(MOST_WAITING)
        self._credit = float(BURST)
        self._credited_at: float | None = None

    def put(self, batch: WorkerLog, *, now: float) -> None:
        """Add a batch if there is room for it; `now` monotonic."""
        since = now if self._credited_at is None else self._credited_at
        self._credit = min(self._credit + (now - since) * BYTES_PER_SECOND, BURST)
        self._credited_at = now
        cost = len(batch.data) + COST
        if cost > self._credit:
            return
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(batch)
            self._credit -= cost

    async def run(self) -> None:
        """Store batches until cancelled."""
        while True:
            batch = await self._waiting.get()
            with contextlib.suppress(StoreUnavailableError):
                await self._append(batch)
