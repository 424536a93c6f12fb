"""What is behind the gateway in one API server process, and its life."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from airflow_edge.gateway.access.authentication import Authenticator
from airflow_edge.gateway.access.directory import WorkerDirectory
from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.batching import Gathered
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.notify import Listener
from airflow_edge.gateway.links.polling import Polls
from airflow_edge.gateway.links.reconcile import Admission, Entrant, admit
from airflow_edge.gateway.links.registry import Links
from airflow_edge.gateway.loops.background import Background
from airflow_edge.gateway.loops.dispatcher import Dispatcher
from airflow_edge.gateway.loops.handover import Handover
from airflow_edge.gateway.loops.keeper import Keeper
from airflow_edge.gateway.loops.log_keeper import LogKeeper
from airflow_edge.protocol.messages import WorkerLog
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

NOTIFIED_POLL_INTERVAL = 5.0
"""Seconds between two looks at the queue while the database notifies us: only to be safe."""
MOST_LOG_CHECKS = 3
"""Ends of logs that are checked at once: a long one keeps a thread busy for seconds, and others need threads, too."""
WORKER_LOGS_AT_ONCE = 2
"""How many of the database's threads the workers' own logs may take: the others are for jobs."""


class Centre:
    """The parts of one gateway process, wired together."""

    def __init__(self, config: GatewayConfig, store: Store, calls: StoreCalls, listener: Listener | None) -> None:
        """Wire them; nothing runs before `start`.

        :param listener: where the database notifies of queued jobs
        """
        self.id = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.config = config
        self.store = store
        self.calls = calls
        self.links = Links()
        self.polls = Polls()
        self.directory = WorkerDirectory(store.workers, calls)
        self.authenticator = Authenticator(self.directory, store.nonces, calls)
        self.admissions = Gathered(self._admit)
        self.dispatcher = Dispatcher(
            store.jobs, calls, self.links, offer_timeout=config.offer_timeout, poll_interval=self._poll_interval
        )
        self._worker_log_turns = asyncio.Semaphore(WORKER_LOGS_AT_ONCE)
        self._listener = listener
        self._keeper = Keeper(store, calls, self.links, self.directory, self.authenticator.seen, self.requeued, config)
        self.log_checks = asyncio.Semaphore(MOST_LOG_CHECKS)
        self._log_keeper = LogKeeper(store.log_upkeep, config)
        self._handover = Handover(store)
        self._background = Background()

    def start(self) -> None:
        """Start the loops."""
        self._background.start("dispatcher", self.dispatcher.run)
        self._background.start("watch over links and tasks", self._keeper.watch)
        self._background.start("orders to workers", self._keeper.pass_orders)
        self._background.start("watch over offers", self._keeper.expire)
        self._background.start("watch over presence", self._keeper.beat)
        self._background.start("purge", self._keeper.purge)
        self._background.start("retention of measurements", self._keeper.purge_metrics)
        self._background.start("care of logs", self._log_keeper.tidy)
        self._background.start("retention of logs", self._log_keeper.expire)
        self._background.start("handing over of logs", self._handover.run)
        if self._listener is not None:
            listener = self._listener
            self._background.start("listener", lambda: listener.run(self.dispatcher.wake))

    async def stop(self) -> None:
        """Stop the loops and let go of the links."""
        await self._background.stop()
        await self._log_keeper.stop()
        await self._handover.stop()
        for link in self.links:
            link.close(CloseCode.SHUTTING_DOWN, "the API server is shutting down")
        await self.polls.stop()

    def requeued(self) -> None:
        """Say, here and at all other gateways, that a job is back in the queue."""
        self.dispatcher.wake()
        if self._listener is not None:
            self._listener.tell()

    async def keep_worker_log(self, worker_id: UUID, batch: WorkerLog) -> None:
        """Store a batch of a worker's own log.

        :raises StoreUnavailableError: the database failed.
        """
        async with self._worker_log_turns:
            await self.calls.run(
                self.store.worker_logs.append,
                worker_id,
                batch,
                quota=self.config.worker_log_quota,
                now=datetime.now(UTC),
            )

    async def _admit(self, entrants: Sequence[Entrant]) -> list[Admission]:
        return await self.calls.run(admit, self.store, entrants, now=datetime.now(UTC))

    def _poll_interval(self) -> float:
        if self._listener is not None and self._listener.connected:
            return NOTIFIED_POLL_INTERVAL
        return self.config.dispatch_poll_interval
