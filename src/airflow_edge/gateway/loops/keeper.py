"""What a gateway process does again and again: cut off, stop, expire, keep alive, lose, purge.

Every process does all of it, and each step may be done twice without harm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from airflow_edge.gateway.access.directory import WorkerDirectory
from airflow_edge.gateway.access.seen_tokens import SeenTokens
from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.link import WorkerLink, minute_of
from airflow_edge.gateway.links.orders import refuse_orders
from airflow_edge.gateway.links.registry import Links
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.orders import WorkerOrder
from airflow_edge.rules.overview import READY
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

WATCH_INTERVAL = 1.0
ORDER_INTERVAL = 0.5
EXPIRE_INTERVAL = 2.0
PURGE_INTERVAL = 60.0
PURGE_AT_ONCE = 1_000
METRICS_PURGE_INTERVAL = 900.0
OVERLAP = timedelta(seconds=30)
"""By how much the clocks of those who change workers may lag behind this process's."""
ORDERS_KEPT = timedelta(days=30)
"""How long answered orders can be asked about."""
SETTLING = 60.0
"""Seconds without trouble before jobs are declared lost: after an outage of the centre, workers have to come back."""


class Keeper:
    """The keeper of one gateway process. Each of its loops runs until it is cancelled."""

    def __init__(
        self,
        store: Store,
        calls: StoreCalls,
        links: Links,
        directory: WorkerDirectory,
        seen: SeenTokens,
        queue: QueueSignal,
        config: GatewayConfig,
    ) -> None:
        self._store = store
        self._calls = calls
        self._links = links
        self._directory = directory
        self._seen = seen
        self._queue = queue
        self._config = config
        self._looked_at = datetime.now(UTC)
        self._steady_since: float | None = None

    async def watch(self) -> None:
        """Obey what the centre has decided about tasks."""
        await self._repeat(WATCH_INTERVAL, self._stop_unwanted)

    async def pass_orders(self) -> None:
        """Obey what the centre has decided about workers, pass on what people want of them, note what they do."""
        await self._repeat(ORDER_INTERVAL, self._follow_workers, self._note_changes)

    async def expire(self) -> None:
        """Put unanswered offers back into the queue."""
        await self._repeat(EXPIRE_INTERVAL, self._expire_leases)

    async def beat(self) -> None:
        """Note who is there, and draw the consequences for those who are not."""
        await self._repeat(self._config.heartbeat_interval, self._note_presence)

    async def purge(self) -> None:
        """Delete what nobody needs any more."""
        await self._repeat(PURGE_INTERVAL, self._delete_old)

    async def _repeat(self, interval: float, *steps: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                for step in steps:
                    await step()
            except StoreUnavailableError:
                # It was logged; what was not done is done the next time.
                self._steady_since = None
            await asyncio.sleep(interval)

    async def _follow_workers(self) -> None:
        """Go by what was changed about workers; an order to one is such a change."""
        known = list(self._links)
        asked_at = datetime.now(UTC)
        changed = {
            worker.id: worker
            for worker in await self._calls.run(self._store.workers.changed_since, self._looked_at - OVERLAP)
        }
        self._looked_at = asked_at
        for worker_id in changed:
            self._directory.forget(worker_id)
        followed: dict[UUID, WorkerLink] = {}
        # A link that began after the question is not judged by the answer.
        for link in known:
            worker = changed.get(link.worker.id)
            if worker is None:
                continue
            if worker.revoked_at is not None or worker.public_key != link.worker.public_key:
                link.close(CloseCode.REVOKED, "revoked")
            elif worker.link_id != link.id:
                link.close(CloseCode.REPLACED, "a newer link of this worker has replaced it")
            else:
                if link.follow(worker):
                    self._queue.wake()
                link.ask_for_log(worker.log_request, now=asked_at)
                followed[worker.id] = link
        await self._pass_orders(followed)

    async def _stop_unwanted(self) -> None:
        links: dict[UUID, WorkerLink] = {link.worker.id: link for link in self._links if link.open}
        if not links:
            return
        unwanted: defaultdict[UUID, dict[AssignmentKey, str]] = defaultdict(dict)
        for job in await self._calls.run(self._store.jobs.unwanted, list(links)):
            unwanted[job.worker_id][job.key] = job.reason
        for worker_id, link in links.items():
            link.stop_jobs(unwanted[worker_id])

    async def _pass_orders(self, links: dict[UUID, WorkerLink]) -> None:
        if not links:
            return
        waiting: defaultdict[UUID, list[WorkerOrder]] = defaultdict(list)
        for order in await self._calls.run(self._store.orders.waiting, list(links)):
            waiting[order.worker_id].append(order)
        for worker_id, orders in waiting.items():
            link = links[worker_id]
            if link.knows_orders:
                link.pass_orders(orders)
            else:
                now = datetime.now(UTC)
                await self._calls.run(refuse_orders, self._store, worker_id, orders, link.state, now=now)

    async def _note_changes(self) -> None:
        """Note what people look at while it happens; that tasks come and go can wait for the next heartbeat."""
        changed = {
            link: (link.state, link.comment)
            for link in self._links
            if link.open and not _alike(link.noted, (link.state, link.comment))
        }
        if changed:
            states = {link.worker.id: state for link, (state, _) in changed.items()}
            comments = {link.worker.id: comment for link, (_, comment) in changed.items()}
            causes = {link.worker.id: link.cause for link in changed if link.cause is not None}
            await self._calls.run(self._store.workers.seen, states, {}, comments, causes, now=datetime.now(UTC))
            for link, noted in changed.items():
                link.noted = noted

    async def _expire_leases(self) -> None:
        if await self._calls.run(self._store.jobs.expire_leases, now=datetime.now(UTC)):
            self._queue.tell()

    async def _note_presence(self) -> None:
        now = datetime.now(UTC)
        links = [link for link in self._links if link.open]
        states = {link.worker.id: link.state for link in links}
        systems = {link.worker.id: link.system for link in links}
        alive = [UUID(job_id) for link in links for job_id in link.slots.job_ids().intersection(link.alive)]
        if states:
            comments = {link.worker.id: link.comment for link in links if link.comment}
            causes = {link.worker.id: link.cause for link in links if link.cause is not None}
            unwanted = await self._calls.run(self._store.workers.seen, states, systems, comments, causes, now=now)
            for link in links:
                if link.worker.id in unwanted:
                    # One that was removed at once after it was revoked is not among those that have changed.
                    link.close(CloseCode.REVOKED, "revoked")
                link.noted = (states[link.worker.id], comments.get(link.worker.id, ""))
        await self._keep_metrics(links)
        await self._calls.run(self._store.jobs.keep_alive, alive, self._config.patience, now=now)
        if silent := await self._calls.run(self._store.workers.mark_unreachable, self._config.patience, now=now):
            log.warning("%d workers were not heard from for %.0f s", len(silent), self._config.silence)
        if not self._has_settled():
            return
        if lost := await self._calls.run(self._store.jobs.lose_unreachable, self._config.patience, now=now):
            log.warning("%d jobs are lost: their workers were out of reach for longer than their grace", lost)

    async def _keep_metrics(self, links: list[WorkerLink]) -> None:
        now = time.time()
        chunks = [chunk for link in links if (chunk := link.measured(now)) is not None]
        if chunks and self._config.metrics_retention:
            await self._calls.run(self._store.metrics.write, chunks)

    def _has_settled(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._steady_since is None:
            self._steady_since = now
        return now - self._steady_since >= min(SETTLING, self._config.patience.shortest.total_seconds())

    async def _delete_old(self) -> None:
        now = datetime.now(UTC)
        self._links.forget_parked(asyncio.get_running_loop().time())
        self._seen.forget_expired(now.timestamp())
        await self._calls.run(self._store.nonces.forget_expired, now=now)
        await self._calls.run(self._store.orders.purge, before=now - ORDERS_KEPT, limit=PURGE_AT_ONCE)
        while (
            await self._calls.run(
                self._store.jobs.purge,
                succeeded_before=now - self._config.job_success_purge,
                failed_before=now - self._config.job_fail_purge,
                limit=PURGE_AT_ONCE,
            )
            == PURGE_AT_ONCE
        ):
            pass
        while (
            await self._calls.run(
                self._store.worker_logs.purge, before=now - self._config.worker_log_purge, limit=PURGE_AT_ONCE
            )
            == PURGE_AT_ONCE
        ):
            pass

    async def purge_metrics(self) -> None:
        """Delete measurements that are old enough."""
        await self._repeat(METRICS_PURGE_INTERVAL, self._delete_old_metrics)

    async def _delete_old_metrics(self) -> None:
        oldest = datetime.now(UTC) - self._config.metrics_retention
        await self._calls.run(self._store.metrics.purge, before=minute_of(oldest.timestamp()))


def _alike(noted: tuple[WorkerState, str], now: tuple[WorkerState, str]) -> bool:
    return noted == now or (noted[0] in READY and now[0] in READY)
