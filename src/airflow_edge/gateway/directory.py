"""The workers' keys, at most a second old, so that not every call costs a query."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from uuid import UUID

from airflow_edge.dispatch.model import Worker
from airflow_edge.dispatch.ports import WorkerRegistry
from airflow_edge.gateway.store_calls import StoreCalls, StoreUnavailableError

MAX_AGE = 1.0
"""Seconds for which an answer of the store is believed."""
MOST_ENTRIES = 10_000


class WorkerDirectory:
    """Workers by id. Those who are asked for during one query share the next: all sites may come back at once."""

    def __init__(self, registry: WorkerRegistry, calls: StoreCalls, *, max_age: float = MAX_AGE) -> None:
        self._registry = registry
        self._calls = calls
        self._max_age = max_age
        self._entries: OrderedDict[UUID, tuple[float, Worker]] = OrderedDict()
        self._wanted: dict[UUID, asyncio.Future[Worker | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def get(self, worker_id: UUID) -> Worker | None:
        """Give the worker, None if there is none.

        :raises StoreUnavailableError: the database failed.
        """
        loop = asyncio.get_running_loop()
        entry = self._entries.get(worker_id)
        if entry and loop.time() - entry[0] < self._max_age:
            return entry[1]
        answer = self._wanted.get(worker_id)
        if answer is None:
            answer = self._wanted[worker_id] = loop.create_future()
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        # One caller that goes away must not take the answer from the others.
        return await asyncio.shield(answer)

    def forget(self, worker_id: UUID) -> None:
        """Ask the store again next time."""
        self._entries.pop(worker_id, None)

    async def _ask(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, {}
                await self._answer(wanted)
        finally:
            self._asking = None

    async def _answer(self, wanted: dict[UUID, asyncio.Future[Worker | None]]) -> None:
        asked_at = asyncio.get_running_loop().time()
        try:
            workers = await self._calls.run(self._registry.workers_with, list(wanted))
        except StoreUnavailableError as error:
            for answer in wanted.values():
                answer.set_exception(error)
            return
        except BaseException:
            for answer in wanted.values():
                answer.cancel()
            raise
        found = {worker.id: worker for worker in workers}
        for worker_id, answer in wanted.items():
            worker = found.get(worker_id)
            self._note(worker_id, worker, asked_at)
            answer.set_result(worker)

    def _note(self, worker_id: UUID, worker: Worker | None, asked_at: float) -> None:
        self._entries.pop(worker_id, None)
        if worker is not None:
            self._entries[worker_id] = (asked_at, worker)
            while len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)
