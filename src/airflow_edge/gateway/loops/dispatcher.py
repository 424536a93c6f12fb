"""Hands queued jobs to the workers linked to this process. Others do so elsewhere; the store decides who gets which."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import attrs

from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.registry import Links
from airflow_edge.protocol.frames import MAX_FRAME_BYTES
from airflow_edge.protocol.messages import Ended, Refused
from airflow_edge.rules.matching import Capacity
from airflow_edge.rules.reports import Report
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

MAX_WORKLOAD_BYTES = MAX_FRAME_BYTES - 64 * 1024
"""A longer workload fits into no frame."""
TOO_LONG = (
    f"the workload is longer than the {MAX_WORKLOAD_BYTES // 2**20} MiB that can be handed to an edge worker: pass "
    "large values by reference, not as arguments"
)
NOTIFIED_POLL_INTERVAL = 5.0
"""Seconds between two looks at the queue while the database notifies us: only to be safe."""
PAUSE = 1.0
"""Seconds between two attempts while the database does not answer."""
LONGEST_REST = 0.1
"""Seconds between two looks at the queue, at most, when there is always a reason for the next."""


@attrs.frozen
class Dispatcher:
    """The dispatcher of one gateway process."""

    _store: Store
    _calls: StoreCalls
    _links: Links
    _queue: QueueSignal
    _config: GatewayConfig

    async def run(self) -> None:
        """Hand jobs out until cancelled."""
        clock, poll_interval = asyncio.get_running_loop().time, self._config.dispatch_poll_interval
        while True:
            await self._queue.wait(NOTIFIED_POLL_INTERVAL if self._queue.connected else poll_interval)
            began = clock()
            try:
                await self._hand_out()
                # A look goes through all links: when all of them come back at once, each of them is a reason for one.
                await asyncio.sleep(min(clock() - began, LONGEST_REST))
            except StoreUnavailableError:
                # It was logged. Who could take jobs may be different when the database answers again.
                self._queue.wake()
                await asyncio.sleep(PAUSE)

    async def _hand_out(self) -> None:
        clock = asyncio.get_running_loop().time
        capacities = self._links.capacities(clock())
        if not capacities:
            return
        links = {link.worker.id: link for link in capacities}
        for job in await self._claim(list(capacities.values())):
            link = links[job.worker_id]
            if len(job.workload.encode()) > MAX_WORKLOAD_BYTES:
                await self._settle(job, Ended(**job.key._asdict(), reason=TOO_LONG))
                log.error("Job %s fails: %s", job.id, TOO_LONG)
            elif link.free_slots(clock()) < job.slots:
                # It has refused a job, or is gone, since it was looked at.
                await self._settle(job, Refused(**job.key._asdict(), reason="the worker was not ready any more"))
                log.info("Job %s is back in the queue: worker '%s' is not ready any more", job.id, link.worker.name)
                self._queue.wake()
            else:
                link.offer(job, lease=self._config.offer_timeout, now=clock())

    async def _claim(self, capacities: list[Capacity]) -> list[ClaimedJob]:
        now = datetime.now(UTC)
        lease_until = now + timedelta(seconds=self._config.offer_timeout)
        return await self._calls.run(self._store.queue.claim, capacities, lease_until=lease_until, now=now)

    async def _settle(self, job: ClaimedJob, report: Report) -> None:
        """Undo a claim; were that to fail, its lease would run out."""
        with suppress(StoreUnavailableError):
            await self._calls.run(self._store.jobs.settle, job.worker_id, [report], now=datetime.now(UTC))
