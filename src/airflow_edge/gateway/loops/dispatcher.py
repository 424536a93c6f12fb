"""Hands queued jobs to the workers linked to this process. Others do so elsewhere; the store decides who gets which."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs

from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.apart import each_apart
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError, is_outage
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.demand import Demand, Takers
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.registry import Links
from airflow_edge.gateway.loops.left_out import TRIED_AGAIN, LeftOut
from airflow_edge.protocol.frames import MAX_FRAME_BYTES
from airflow_edge.protocol.messages import Ended, Refused
from airflow_edge.rules.matching import Capacity, QueueKey
from airflow_edge.rules.reports import Report
from airflow_edge.store.jobs.claims import ClaimedJob, HandedOut
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
"""Seconds between two looks at all of the queue while the database notifies us: only to be safe."""
PAUSE = 1.0
"""Seconds between two attempts while the database does not answer."""
LONGEST_REST = 0.1
"""Seconds between two looks at the queue, at most, when there is always a reason for the next."""
MOST_AT_ONCE = 500
"""Slots for which jobs are looked for in one transaction: the next ones' workers wait for its end."""
MOST_PROBED = 20
"""Queues that are tried one by one in one look: others wait meanwhile."""
LONGEST_REASON = 200


@attrs.define
class Dispatcher:
    """The dispatcher of one gateway process."""

    _store: Store
    _calls: StoreCalls
    _links: Links
    _queue: QueueSignal
    _demand: Demand
    _config: GatewayConfig
    _left_out: LeftOut = attrs.field(factory=LeftOut, init=False)

    async def run(self) -> None:
        """Hand jobs out until cancelled."""
        clock = asyncio.get_running_loop().time
        looked_at = float("-inf")
        while True:
            every = NOTIFIED_POLL_INTERVAL if self._queue.connected else self._config.dispatch_poll_interval
            with suppress(TimeoutError):
                async with asyncio.timeout_at(looked_at + every):
                    await self._demand.awake.wait()
            began = clock()
            try:
                if self._demand.all_due or began >= looked_at + every:
                    self._demand.begin_look()
                    self._demand.know(await self._calls.run(self._store.queue.waiting))
                    looked_at = began
                await self._hand_out()
                # When all links come back at once, each of them is a reason for a look.
                await asyncio.sleep(min(clock() - began, LONGEST_REST))
            except StoreUnavailableError:
                # It was logged. What waits may be different when the database answers again.
                self._demand.wake()
                await asyncio.sleep(PAUSE)

    async def _hand_out(self) -> None:
        now = asyncio.get_running_loop().time()
        await self._hand_out_tests(now)
        takers = self._demand.take(MOST_AT_ONCE, now)
        able = [key for key in takers if key not in self._left_out]
        failed = await each_apart(partial(self._hand_out_of, takers), able)
        if not (failed or self._left_out):
            return
        # Alone, and after the others: one that fails again costs these nothing.
        for key, error in failed:
            if not await self._try(key):
                self._leave_out(key, error)
        for key in self._left_out.due(now)[:MOST_PROBED]:
            await self._try(key)
        self._left_out.forget(now)
        for link in self._links:
            link.left_out = self._left_out.words(link.keys)

    async def _hand_out_of(self, takers: Mapping[QueueKey, Takers], keys: Sequence[QueueKey]) -> None:
        """Hand out what there is in some queues."""
        # They may have got jobs since.
        now = asyncio.get_running_loop().time()
        links = {link for key in keys for link in takers[key]}
        able = {link: capacity for link in links if (capacity := link.capacity(now)) is not None}
        claimed = await self._claim(able, queues=keys)
        for key in keys:
            slots = max((able[link].free_slots for link in takers[key] if link in able), default=0)
            self._demand.looked(key, slots=slots, more=key in claimed.more, left=key in claimed.left)

    async def _hand_out_tests(self, now: float) -> None:
        able = dict[WorkerLink, Capacity]()
        for worker_id in self._demand.tests:
            if (link := self._links.get(worker_id)) is not None and (capacity := link.capacity(now)) is not None:
                able[link] = capacity
        if able:
            await self._claim(able, queues=(), tests=True)
            self._demand.tests.difference_update([link.worker.id for link in able])

    async def _try(self, key: QueueKey) -> bool:
        """Hand out what there is of one queue, and see whether that fails; False if nobody has room to try it with."""
        if not (takers := self._demand.takers(key, asyncio.get_running_loop().time())):
            return False
        try:
            await self._hand_out_of({key: takers}, [key])
        except Exception as error:
            if is_outage(error):
                raise
            self._leave_out(key, error)
        else:
            self._left_out.heal(key)
        return True

    def _leave_out(self, key: QueueKey, error: Exception) -> None:
        why = one_line(f"{type(error).__name__}: {error}", LONGEST_REASON)
        if self._left_out.add(key, why, asyncio.get_running_loop().time()):
            said = "Nobody gets jobs of queue %a: to ask the database for one fails (%s); it is tried again in %g s"
            log.error(said, key.name[:60], why, TRIED_AGAIN)

    async def _claim(self, able: Takers, *, queues: Collection[QueueKey], tests: bool = False) -> HandedOut:
        """Claim jobs for these workers, and offer them."""
        now = datetime.now(UTC)
        claimed = await self._calls.run(
            self._store.queue.claim,
            list(able.values()),
            queues=queues,
            tests=tests,
            lease_until=now + timedelta(seconds=self._config.offer_timeout),
            now=now,
        )
        links = {link.worker.id: link for link in able}
        for job in claimed.jobs:
            await self._offer(job, links[job.worker_id])
        return claimed

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
                self._queue.put_back()
            else:
                link.offer(job, lease=self._config.offer_timeout, now=now)
        except Exception:
            # Its lease runs out, and it is looked at again.
            log.exception("Job %s could not be offered to worker '%s'", job.id, link.worker.name)

    async def _settle(self, job: ClaimedJob, report: Report) -> None:
        """Undo a claim; were that to fail, its lease would run out."""
        with suppress(StoreUnavailableError):
            await self._calls.run(self._store.jobs.settle, job.worker_id, [report], now=datetime.now(UTC))
