"""What linked workers say, on its way into the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import attrs

from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.protocol.messages import LogChunk, LogEnd, Obeyed, WorkerLog
from airflow_edge.room import SharedRoom
from airflow_edge.rules.reports import Reading, Report
from airflow_edge.store.logs.logs import LogProgress
from airflow_edge.store.store import Store

MOST_LOG_CHECKS = 3
"""Ends of logs that are checked at once: a long one keeps a thread busy for seconds, and others need threads, too."""
WORKER_LOGS_AT_ONCE = 2
"""How many of the database's threads the workers' own logs may take: the others are for jobs."""


@attrs.define
class Records:
    """What the links of one gateway process write down. All raise `StoreUnavailableError` where the database fails."""

    _store: Store
    _calls: StoreCalls
    _queue: QueueSignal
    _worker_log_quota: int
    """Bytes of each worker's own log that are kept."""
    room: SharedRoom
    """For what has come and waits to be written down, of all links together."""
    _log_checks: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(MOST_LOG_CHECKS))
    _worker_log_turns: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(WORKER_LOGS_AT_ONCE))

    async def settle(self, worker_id: UUID, reports: Sequence[Report]) -> list[Reading]:
        """Apply a worker's reports in one transaction; say how each was read."""
        return await self._calls.run(self._store.jobs.settle, worker_id, reports, now=datetime.now(UTC))

    async def append_log(self, worker_id: UUID, chunk: LogChunk) -> LogProgress | None:
        """Keep a piece of a task's log; None where the job is not, or no more, known."""
        return await self._calls.run(self._store.logs.append, worker_id, chunk, now=datetime.now(UTC))

    async def finish_log(self, worker_id: UUID, end: LogEnd) -> LogProgress | None:
        """Check that a task's log is complete; None where the job is not, or no more, known."""
        async with self._log_checks:
            return await self._calls.run(self._store.logs.finish, worker_id, end, now=datetime.now(UTC))

    async def append_worker_log(self, worker_id: UUID, batch: WorkerLog) -> None:
        """Keep a batch of a worker's own log."""
        async with self._worker_log_turns:
            await self._calls.run(
                self._store.worker_logs.append,
                worker_id,
                batch,
                quota=self._worker_log_quota,
                now=datetime.now(UTC),
            )

    async def note_answer(self, worker_id: UUID, answer: Obeyed) -> None:
        """Note a worker's answer to an order."""
        await self._calls.run(
            self._store.orders.obeyed,
            worker_id,
            UUID(answer.order_id),
            answer.state,
            done=answer.done,
            detail=answer.detail,
            now=datetime.now(UTC),
        )

    def wake(self) -> None:
        """A worker could take more: have the queue looked at."""
        self._queue.wake()

    def tell_requeued(self) -> None:
        """A job is back in the queue: have it looked at here and at all other gateways."""
        self._queue.tell()
