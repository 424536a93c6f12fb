"""What becomes of jobs that were handed out: offers that nobody answers, and tasks that nobody wants any more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import attrs

from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.registry import Links
from airflow_edge.gateway.loops.stillness import Stillness
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.store.jobs.jobs import Jobs

LEASES_INTERVAL = 2.0
UNWANTED_INTERVAL = 1.0


@attrs.define
class Assignments:
    """The watch of one gateway process over assignments."""

    _jobs: Jobs
    _calls: StoreCalls
    _links: Links
    _queue: QueueSignal
    _offer_timeout: float
    _offers: Stillness[UUID, int] = attrs.field(factory=lambda: Stillness(2 * LEASES_INTERVAL), init=False)
    _strays: set[tuple[UUID, AssignmentKey]] = attrs.field(factory=set, init=False)

    async def expire_leases(self) -> None:
        """Put offers, whosoever they are, back into the queue that were seen unanswered for long enough."""
        clock = asyncio.get_running_loop().time
        asked = clock()
        offers = await self._calls.run(self._jobs.offered)
        waited = self._offers.look(offers, asked=asked, answered=clock())
        overdue = {job_id: offers[job_id] for job_id, seconds in waited.items() if seconds > self._offer_timeout}
        if await self._calls.run(self._jobs.expire_leases, overdue, now=datetime.now(UTC)):
            self._queue.tell()

    async def void_strays(self) -> None:
        """Tell the workers linked here what they have and the centre does not count with: it was lost, for example.

        Whoever links anew is told at once, others at the second look: an end is written down before its link knows.
        """
        links = {link.worker.id: link for link in self._links if link.open}
        there = {worker_id: keys for worker_id, link in links.items() if (keys := link.slots.accepted())}
        before, self._strays = self._strays, set(await self._calls.run(self._jobs.not_held, there) if there else ())
        for worker_id, key in self._strays & before:
            if key in links[worker_id].slots.accepted():
                links[worker_id].void_job(key, "the job was given to another worker, or has ended at the centre")

    async def stop_unwanted(self) -> None:
        """Have those tasks stopped that Airflow does not want any more and that run at workers linked here."""
        links = {link.worker.id: link for link in self._links if link.open}
        if not links:
            return
        unwanted = await self._calls.run(self._jobs.unwanted, list(links))
        for worker_id, link in links.items():
            link.stop_jobs(unwanted.get(worker_id, {}))
