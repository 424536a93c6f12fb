"""The workers' keys, at most a second old, so that not every call costs a query."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from uuid import UUID

from airflow_edge.dispatch.model import Worker
from airflow_edge.dispatch.ports import WorkerRegistry
from airflow_edge.gateway.store_calls import StoreCalls

MAX_AGE = 1.0
"""Seconds for which an answer of the store is believed."""
MOST_ENTRIES = 10_000


class WorkerDirectory:
    """Workers by id. Those who ask for the same one at once share a query."""

    def __init__(self, registry: WorkerRegistry, calls: StoreCalls, *, max_age: float = MAX_AGE) -> None:
        self._registry = registry
        self._calls = calls
        self._max_age = max_age
        self._entries: OrderedDict[UUID, tuple[float, Worker]] = OrderedDict()
        self._queries: dict[UUID, asyncio.Task[Worker | None]] = {}

    async def get(self, worker_id: UUID) -> Worker | None:
        """Give the worker, None if there is none.

        :raises StoreUnavailableError: the database failed.
        """
        entry = self._entries.get(worker_id)
        if entry and asyncio.get_running_loop().time() - entry[0] < self._max_age:
            return entry[1]
        query = self._queries.get(worker_id)
        if query is None:
            query = self._queries[worker_id] = asyncio.create_task(self._ask(worker_id))
            query.add_done_callback(lambda _: self._queries.pop(worker_id, None))
        # One caller that goes away must not take the answer from the others.
        return await asyncio.shield(query)

    def forget(self, worker_id: UUID) -> None:
        """Ask the store again next time."""
        self._entries.pop(worker_id, None)

    async def _ask(self, worker_id: UUID) -> Worker | None:
        asked_at = asyncio.get_running_loop().time()
        worker = await self._calls.run(self._registry.worker, worker_id)
        self._entries.pop(worker_id, None)
        if worker is not None:
            self._entries[worker_id] = (asked_at, worker)
            while len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)
        return worker
