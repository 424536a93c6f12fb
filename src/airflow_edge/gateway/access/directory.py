"""The workers' keys, at most a second old, so that not every call costs a query."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

from airflow_edge.gateway.database.batching import Coalesced
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.rules.worker import Worker
from airflow_edge.store.workers.workers import Workers

MAX_AGE = 1.0
"""Seconds for which an answer of the store is believed."""
MOST_ENTRIES = 10_000


class WorkerDirectory:
    """Workers by id."""

    def __init__(self, workers: Workers, calls: StoreCalls) -> None:
        self._workers = workers
        self._calls = calls
        self._entries: OrderedDict[UUID, tuple[float, Worker]] = OrderedDict()
        self._lookups = Coalesced(self._look_up)

    async def get(self, worker_id: UUID) -> Worker | None:
        """Give the worker, None if there is none.

        :raises StoreUnavailableError: the database failed.
        """
        entry = self._entries.get(worker_id)
        if entry and asyncio.get_running_loop().time() - entry[0] < MAX_AGE:
            return entry[1]
        return await self._lookups.ask(worker_id)

    def forget(self, worker_id: UUID) -> None:
        """Ask the store again next time."""
        self._entries.pop(worker_id, None)

    async def _look_up(self, worker_ids: Sequence[UUID]) -> list[Worker | None]:
        asked_at = asyncio.get_running_loop().time()
        workers = await self._calls.run(self._workers.with_ids, set(worker_ids))
        found = {worker.id: worker for worker in workers}
        for worker_id in worker_ids:
            self._entries.pop(worker_id, None)
            if worker_id in found:
                self._entries[worker_id] = (asked_at, found[worker_id])
        while len(self._entries) > MOST_ENTRIES:
            self._entries.popitem(last=False)
        return [found.get(worker_id) for worker_id in worker_ids]
