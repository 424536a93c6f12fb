"""Hands queued jobs to the workers linked to this process. Others do so elsewhere; the store decides who gets which."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import attrs

from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.apart import each_apart
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError, is_outage
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.registry import Links
from airflow_edge.gateway.loops.left_out import EVERYTHING, TRIED_AGAIN, LeftOut, describe
from airflow_edge.protocol.frames import MAX_FRAME_BYTES
from airflow_edge.protocol.messages import Ended, Refused
from airflow_edge.rules.matching import Capacity
from airflow_edge.rules.reports import Report
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.store import Store
from airflow_edge.texts import one_line

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
MOST_PROBED = 20
"""Queues of one worker that are tried one by one, and attempts of that kind in one look: others wait meanwhile."""
LONGEST_REASON = 200


@attrs.frozen
class Dispatcher:
    """The dispatcher of one gateway process."""

    _store: Store
    _calls: StoreCalls
    _links: Links
    _queue: QueueSignal
    _config: GatewayConfig
    _left_out: LeftOut = attrs.field(factory=LeftOut, init=False)

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
        now = asyncio.get_running_loop().time()
        capacities = self._links.capacities(now)
        if not capacities:
            return
        links = {link.worker.id: link for link in capacities}
        able = [own for one in capacities.values() if (own := self._left_out.without(one)) is not None]
        failed = await each_apart(partial(self._hand_out_to, links), able)
        for capacity, error in failed:
            await self._find_out(links, capacity, error)
        # Alone, and after the others: one that fails again has cost these nothing.
        for capacity, queue in self._left_out.due(capacities.values(), now)[:MOST_PROBED]:
            await self._try(links, capacity, queue)
        self._left_out.forget(now)
        for link in capacities:
            link.left_out = self._left_out.words(link.worker.id)

    async def _hand_out_to(
        self, links: Mapping[UUID, WorkerLink], capacities: Sequence[Capacity], *, asks: bool = False
    ) -> list[ClaimedJob]:
        jobs = await self._claim(capacities, asks=asks)
        for job in jobs:
            await self._offer(job, links[job.worker_id])
        return jobs

    async def _find_out(self, links: Mapping[UUID, WorkerLink], capacity: Capacity, error: Exception) -> None:
        """Leave out those of a worker's queues for which asking fails; all of it if they are too many to be tried."""
        queues = sorted(capacity.queues)
        if not 0 < len(queues) <= MOST_PROBED:
            self._leave_out(links[capacity.worker_id], EVERYTHING, error)
            return
        for queue in queues:
            await self._try(links, replace(capacity, queues=frozenset({queue})), queue)

    async def _try(self, links: Mapping[UUID, WorkerLink], capacity: Capacity, queue: str) -> None:
        """Hand out to one worker what there is of one queue, and see whether that fails."""
        link, now = links[capacity.worker_id], asyncio.get_running_loop().time()
        # It may have got jobs since.
        room, offers = link.room()
        left = replace(capacity, free_slots=link.free_slots(now), room=room, offers=offers)
        if not left.can_be_sent:
            return
        try:
            await self._hand_out_to(links, [left], asks=True)
        except Exception as error:
            if is_outage(error):
                raise
            self._leave_out(link, queue, error)
        else:
            self._left_out.heal(capacity.worker_id, queue)

    def _leave_out(self, link: WorkerLink, queue: str, error: Exception) -> None:
        why = one_line(f"{type(error).__name__}: {error}", LONGEST_REASON)
        if self._left_out.add(link.worker.id, queue, why, asyncio.get_running_loop().time()):
            said = describe({queue: why})
            log.error("Worker '%s': %s; it is tried again, alone, in %g s", link.worker.name, said, TRIED_AGAIN)

    async def _offer(self, job: ClaimedJob, link: WorkerLink) -> None:
        """Offer a job that was claimed. One that cannot be is not to keep those after it from being offered."""
        now = asyncio.get_running_loop().time()
        try:
            if len(job.workload.encode()) > MAX_WORKLOAD_BYTES:
                await self._settle(job, Ended(**job.key._asdict(), reason=TOO_LONG))
                log.error("Job %s fails: %s", job.id, TOO_LONG)
            elif link.free_slots(now) < job.slots:
                # It has refused a job, or is gone, since it was looked at.
                await self._settle(job, Refused(**job.key._asdict(), reason="the worker was not ready any more"))
                log.info("Job %s is back in the queue: worker '%s' is not ready any more", job.id, link.worker.name)
                self._queue.wake()
            else:
                link.offer(job, lease=self._config.offer_timeout, now=now)
        except Exception:
            # Its lease runs out, and it is looked at again.
            log.exception("Job %s could not be offered to worker '%s'", job.id, link.worker.name)

    async def _claim(self, capacities: Sequence[Capacity], *, asks: bool) -> list[ClaimedJob]:
        now = datetime.now(UTC)
        lease_until = now + timedelta(seconds=self._config.offer_timeout)
        claim = self._store.queue.claim
        return await self._calls.run(claim, capacities, lease_until=lease_until, now=now, asks=asks)

    async def _settle(self, job: ClaimedJob, report: Report) -> None:
        """Undo a claim; were that to fail, its lease would run out."""
        with suppress(StoreUnavailableError):
            await self._calls.run(self._store.jobs.settle, job.worker_id, [report], now=datetime.now(UTC))
