"""What the centre has decided about workers, passed on to those that are linked: revocations, queues, orders, and that
somebody wants to read a worker's own log.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import attrs

from airflow_edge.gateway.access.directory import WorkerDirectory
from airflow_edge.gateway.database.apart import each_apart
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.registry import Links
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.rules.orders import WorkerOrder
from airflow_edge.rules.worker import Worker
from airflow_edge.store.columns import batches
from airflow_edge.store.store import Store
from airflow_edge.texts import one_line

log = logging.getLogger(__name__)

LOOK_INTERVAL = 0.5
OVERLAP = timedelta(minutes=10)
"""By how much the clocks of those who change workers may lag behind this process's."""


@attrs.define
class WorkerChanges:
    """Follows in one gateway process what is changed about workers; an order to one is such a change."""

    _store: Store
    _calls: StoreCalls
    _links: Links
    _directory: WorkerDirectory
    _demand: Demand
    _answer_others: Callable[[Iterable[Worker]], Awaitable[None]]
    """Answers other gateways, which may ask whether a worker is there."""
    _seen: dict[UUID, tuple[datetime, UUID | None]] = attrs.field(factory=dict, init=False)
    """When the workers of the last look were changed, and by which link they were linked here when that was passed on.

    A thousand that come back at once are a thousand changes; each is read once and not at every look of the overlap."""
    _unread: dict[UUID, str] = attrs.field(factory=dict, init=False)
    """Why workers that have changed could not be read: they are read again with each look."""
    _looked_at: datetime = attrs.field(factory=lambda: datetime.now(UTC), init=False)

    async def look(self) -> None:
        """Pass on what has changed since the last look."""
        known = list(self._links)
        asked_at = datetime.now(UTC)
        linked = {link.worker.id: link.id for link in known}
        changed = await self._calls.run(self._store.workers.changed_since, self._looked_at - OVERLAP)
        seen = {worker_id: (changed_at, linked.get(worker_id)) for worker_id, changed_at in changed.items()}
        new = {worker_id for worker_id, one in seen.items() if self._seen.get(worker_id) != one}
        workers, unread = await self._read(sorted(new.union(self._unread)))
        # Those that could not be read, too: a key that was revoked is not to be known any longer.
        for worker_id in new:
            self._directory.forget(worker_id)
        await self._answer_others(workers.values())
        # A link that began after the question is not judged by the answer.
        affected = [(link, workers[link.worker.id]) for link in known if link.worker.id in workers]
        followed = {worker.id: link for link, worker in affected if self._follow(link, worker, asked_at)}
        await self._pass_orders(followed)
        # Not before: what was not passed on is passed on the next time.
        self._looked_at, self._seen, self._unread = asked_at, seen, unread

    async def _read(self, worker_ids: Sequence[UUID]) -> tuple[dict[UUID, Worker], dict[UUID, str]]:
        """Give the workers, and why others could not be read."""
        workers: dict[UUID, Worker] = {}
        unread: dict[UUID, str] = {}

        async def read(some: Sequence[UUID]) -> None:
            workers.update({one.id: one for one in await self._calls.run(self._store.workers.with_ids, some)})

        for some in batches(worker_ids):
            for worker_id, error in await each_apart(read, list(some)):
                unread[worker_id] = str(error)
                if self._unread.get(worker_id) != str(error):
                    log.error("What was changed about worker %s cannot be read: %s", worker_id, one_line(str(error)))
        return workers, unread

    def _follow(self, link: WorkerLink, worker: Worker, now: datetime) -> bool:
        if worker.revoked_at is not None or worker.public_key != link.worker.public_key:
            link.close(CloseCode.REVOKED, "revoked")
        elif worker.link_id != link.id:
            link.close(CloseCode.REPLACED, "a newer link of this worker has replaced it")
        else:
            if link.follow(worker):
                self._demand.arrived(link)
            link.ask_for_log(worker.log_request, now=now)
        return link.open

    async def _pass_orders(self, links: Mapping[UUID, WorkerLink]) -> None:
        if not links:
            return
        waiting: defaultdict[UUID, list[WorkerOrder]] = defaultdict(list)
        for order in await self._calls.run(self._store.orders.waiting, list(links)):
            waiting[order.worker_id].append(order)
        for worker_id, orders in waiting.items():
            links[worker_id].pass_orders(orders)
