"""What linked workers say, on its way into the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import attrs

from airflow_edge.gateway.database.batching import Coalesced
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.protocol.messages import LogChunk, LogEnd, Obeyed, WorkerLog
from airflow_edge.room import SharedRoom
from airflow_edge.rules.reports import Reading, Report
from airflow_edge.store.logs.logs import LogProgress
from airflow_edge.store.store import Store

MOST_LOG_CHECKS = 3
"""Ends of logs that are checked at once: a long one keeps a thread busy for seconds, and others need threads, too."""
WORKER_LOGS_AT_ONCE = 2
"""How many of the database's threads the workers' own logs may take: the others are for jobs."""


PENALTY = 10
LONGEST_PENALTY = 60.0
"""How many times as long as a check that was in vain the worker's next one waits, and for how many seconds at most."""


@attrs.define
class _Check:
    """The checks of one worker's logs."""

    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    waiting: int = 0
    not_before: float = 0.0


@attrs.define
class Records:
    """What the links of one gateway process write down. All raise `StoreUnavailableError` where the database fails."""

    _store: Store
    _calls: StoreCalls
    _queue: QueueSignal
    _demand: Demand
    _worker_log_quota: int
    """Bytes of each worker's own log that are kept."""
    _log_max_size: int
    """Bytes that are kept of a task's log."""
    room: SharedRoom
    """For what has come and waits to be written down, of all links together."""
    _settlements: Coalesced[tuple[UUID, Sequence[Report]], list[Reading]] = attrs.field(init=False)
    _checks: dict[UUID, _Check] = attrs.field(factory=dict)
    _log_checks: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(MOST_LOG_CHECKS))
    _worker_log_turns: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(WORKER_LOGS_AT_ONCE))

    @_settlements.default
    def _share_transactions(self) -> Coalesced[tuple[UUID, Sequence[Report]], list[Reading]]:
        return Coalesced(self._settle)

    async def settle(self, worker_id: UUID, reports: Sequence[Report]) -> list[Reading]:
        """Apply a worker's reports in one transaction, which others' may share; say how each was read."""
        return await self._settlements.ask((worker_id, reports))

    async def _settle(self, said: Sequence[tuple[UUID, Sequence[Report]]]) -> list[list[Reading]]:
        return await self._calls.run(self._store.jobs.settle_all, said, now=datetime.now(UTC))

    async def append_log(self, worker_id: UUID, chunk: LogChunk) -> LogProgress | None:
        """Keep a piece of a task's log; None where the job is not, or no more, known."""
        return await self._calls.run(
            self._store.logs.append, worker_id, chunk, now=datetime.now(UTC), most=self._log_max_size
        )

    async def finish_log(self, worker_id: UUID, end: LogEnd) -> LogProgress | None:
        """Check that a task's log is complete; None where the job is not, or no more, known.

        One of each worker at a time. After one that was wrong, its next waits several times as long as that has taken:
        who says what is not so takes little of the time that there is for all.
        """
        check = self._checks.setdefault(worker_id, _Check())
        clock = asyncio.get_running_loop().time
        check.waiting += 1
        try:
            async with check.turn:
                await asyncio.sleep(check.not_before - clock())
                async with self._log_checks:
                    began = clock()
                    found = await self._calls.run(self._store.logs.finish, worker_id, end, now=datetime.now(UTC))
                if found is not None and not found.complete:
                    check.not_before = clock() + min(PENALTY * (clock() - began), LONGEST_PENALTY)
                return found
        finally:
            check.waiting -= 1
            if not check.waiting and check.not_before <= clock():
                del self._checks[worker_id]

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

    def gained(self, link: WorkerLink) -> None:
        """A worker could take more: have its queues looked at."""
        self._demand.gained(link)

    def put_back(self) -> None:
        """A job is back in the queue."""
        self._queue.put_back()
