"""What becomes of jobs that were handed out: offers that nobody answers, and tasks that nobody wants any more."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.registry import Links
from airflow_edge.store.jobs.jobs import Jobs

LEASES_INTERVAL = 2.0
UNWANTED_INTERVAL = 1.0


@attrs.frozen
class Assignments:
    """The watch of one gateway process over assignments."""

    _jobs: Jobs
    _calls: StoreCalls
    _links: Links
    _queue: QueueSignal

    async def expire_leases(self) -> None:
        """Put unanswered offers, whosoever they are, back into the queue."""
        if await self._calls.run(self._jobs.expire_leases, now=datetime.now(UTC)):
            self._queue.tell()

    async def stop_unwanted(self) -> None:
        """Have those tasks stopped that Airflow does not want any more and that run at workers linked here."""
        links = {link.worker.id: link for link in self._links if link.open}
        if not links:
            return
        unwanted = await self._calls.run(self._jobs.unwanted, list(links))
        for worker_id, link in links.items():
            link.stop_jobs(unwanted.get(worker_id, {}))
