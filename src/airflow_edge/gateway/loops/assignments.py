"""What becomes of jobs that were handed out: offers that nobody answers, and tasks that nobody wants any more."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import attrs

from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.registry import Links
from airflow_edge.gateway.loops.stillness import Stillness
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.store.jobs.authority import IdleJob
from airflow_edge.store.store import Store
from airflow_edge.texts import counted

log = logging.getLogger(__name__)

LEASES_INTERVAL = 2.0
UNWANTED_INTERVAL = 1.0
OVERSTAYED: Final = 300.0
"""Seconds for which a linked worker may keep a job that can do nothing any more."""


@attrs.define
class Assignments:
    """The watch of one gateway process over assignments."""

    _store: Store
    _calls: StoreCalls
    _links: Links
    _queue: QueueSignal
    _config: GatewayConfig
    _offers: Stillness[UUID, int] = attrs.field(factory=lambda: Stillness(2 * LEASES_INTERVAL), init=False)
    _idle: Stillness[UUID, IdleJob] = attrs.field(factory=lambda: Stillness(2 * LEASES_INTERVAL), init=False)
    _told: set[AssignmentKey] = attrs.field(factory=set, init=False)
    """To be stopped, as far as that is noted."""
    _strays: set[tuple[UUID, AssignmentKey]] = attrs.field(factory=set, init=False)

    async def expire_leases(self) -> None:
        """Put offers, whosoever they are, back into the queue that were seen unanswered for long enough."""
        clock = asyncio.get_running_loop().time
        asked = clock()
        offers = await self._calls.run(self._store.jobs.offered)
        waited = self._offers.look(offers, asked=asked, answered=clock())
        overdue = {job_id: offers[job_id] for job_id, seconds in waited.items() if seconds > self._config.offer_timeout}
        if await self._calls.run(self._store.jobs.expire_leases, overdue, now=datetime.now(UTC)):
            self._queue.put_back()

    async def look_after_idle(self) -> None:
        """Take from workers linked here the jobs that do nothing: not begun for too long, or long over."""
        clock = asyncio.get_running_loop().time
        here = {link.worker.id for link in self._links if link.open}
        authority, asked = self._store.job_authority, clock()
        idle = [job for job in await self._calls.run(authority.idle) if job.worker_id in here]
        waited = self._idle.look({job.id: job for job in idle}, asked=asked, answered=clock())
        patience = {True: OVERSTAYED, False: self._config.start_timeout}
        overdue = [job for job in idle if waited[job.id] > patience[job.is_over]]
        if stalled := {job.id: job.assignment for job in overdue if not job.is_over}:
            count = await self._calls.run(authority.give_back, stalled, now=datetime.now(UTC))
            log.warning("back in the queue, accepted and not begun in time: %s", counted(count, "job"))
            self._queue.put_back()
        if overstayed := {job.id: job.assignment for job in overdue if job.is_over}:
            reason = f"its worker had not said that its process ended {OVERSTAYED:g} s after its task had"
            count = await self._calls.run(authority.lose, overstayed, reason, now=datetime.now(UTC))
            log.warning("%s not waited for any more: %s", counted(count, "job is", "jobs are"), reason)

    async def void_strays(self) -> None:
        """Tell the workers linked here what they have and the centre does not count with: it was lost, for example.

        Whoever links anew is told at once, others at the second look: an end is written down before its link knows.
        """
        links = {link.worker.id: link for link in self._links if link.open}
        there = {worker_id: keys for worker_id, link in links.items() if (keys := link.slots.accepted())}
        not_held = self._store.jobs.not_held
        before, self._strays = self._strays, set(await self._calls.run(not_held, there) if there else ())
        for worker_id, key in self._strays & before:
            if key in links[worker_id].slots.accepted():
                links[worker_id].void_job(key, "the job was given to another worker, or has ended at the centre")

    async def stop_unwanted(self) -> None:
        """Have those tasks stopped that Airflow does not want any more and that run at workers linked here."""
        links = {link.worker.id: link for link in self._links if link.open}
        if not links:
            return
        unwanted = await self._calls.run(self._store.jobs.unwanted, list(links))
        told = {key for jobs in unwanted.values() for key in jobs}
        if fresh := {UUID(key.job_id): key.assignment for key in told - self._told}:
            until = datetime.now(UTC) + self._config.time_to_stop
            await self._calls.run(self._store.job_authority.close, fresh, until=until, released=False)
        self._told = told
        for worker_id, link in links.items():
            link.stop_jobs(unwanted.get(worker_id, {}))
