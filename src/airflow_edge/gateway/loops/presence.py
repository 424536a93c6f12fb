"""Who is there: noted while it changes and with each heartbeat, with the consequences for those who are not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from uuid import UUID

import attrs

from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.registry import Links
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.overview import READY
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

CHANGES_INTERVAL = 0.5
SETTLING = 60.0
"""Seconds without trouble before jobs are declared lost: after an outage of the centre, workers have to come back."""


@attrs.define
class Presence:
    """The presence of the workers that are linked to one gateway process."""

    _store: Store
    _calls: StoreCalls
    _links: Links
    _config: GatewayConfig
    _began: float | None = attrs.field(default=None, init=False)
    """Since when this process has noted with each heartbeat who is there."""

    async def note_changes(self) -> None:
        """Note what people look at while it happens; that tasks come and go can wait for the next heartbeat."""
        await self._note([link for link in self._links if link.open and not _alike(link.noted, _now(link))], {})

    async def beat(self) -> None:
        """Note with each heartbeat who is there, and draw the consequences for those who are not."""
        # One that fails is trouble: then there is no telling since when.
        began, self._began = self._began or asyncio.get_running_loop().time(), None
        await self._note_all()
        await self._keep_metrics()
        await self._keep_jobs_alive()
        await self._mark_unreachable()
        await self._lose_unreachable(began)
        self._began = began

    async def _note_all(self) -> None:
        links = self._open()
        await self._note(links, {link.worker.id: link.system for link in links})

    async def _note(self, links: Collection[WorkerLink], systems: Mapping[UUID, Mapping[str, object]]) -> None:
        if not links:
            return
        noted = {link.worker.id: _now(link) for link in links}
        states = {worker_id: state for worker_id, (state, _) in noted.items()}
        comments = {worker_id: comment for worker_id, (_, comment) in noted.items()}
        causes = {link.worker.id: link.cause for link in links if link.cause is not None}
        now = datetime.now(UTC)
        unwanted = await self._calls.run(self._store.workers.seen, states, systems, comments, causes, now=now)
        for link in links:
            link.noted = noted[link.worker.id]
            if link.worker.id in unwanted:
                # One that was removed at once after it was revoked is not among those that have changed.
                link.close(CloseCode.REVOKED, "revoked")

    async def _keep_metrics(self) -> None:
        now = time.time()
        chunks = [chunk for link in self._open() if (chunk := link.measured(now)) is not None]
        if chunks and self._config.metrics_retention:
            await self._calls.run(self._store.metrics.write, chunks)

    async def _keep_jobs_alive(self) -> None:
        alive = [UUID(job_id) for link in self._open() for job_id in link.slots.job_ids().intersection(link.alive)]
        await self._calls.run(self._store.jobs.keep_alive, alive, self._config.patience, now=datetime.now(UTC))

    async def _mark_unreachable(self) -> None:
        now = datetime.now(UTC)
        if silent := await self._calls.run(self._store.workers.mark_unreachable, self._config.patience, now=now):
            log.warning("%d workers were not heard from for %.0f s", len(silent), self._config.silence)

    async def _lose_unreachable(self, began: float) -> None:
        steady = asyncio.get_running_loop().time() - max(began, self._calls.failed_at)
        if steady < min(SETTLING, self._config.patience.shortest.total_seconds()):
            return
        now = datetime.now(UTC)
        if lost := await self._calls.run(self._store.jobs.lose_unreachable, self._config.patience, now=now):
            log.warning("%d jobs are lost: their workers were out of reach for longer than their grace", lost)

    def _open(self) -> list[WorkerLink]:
        return [link for link in self._links if link.open]


def _now(link: WorkerLink) -> tuple[WorkerState, str]:
    return link.state, link.comment


def _alike(noted: tuple[WorkerState, str], now: tuple[WorkerState, str]) -> bool:
    return noted == now or (noted[0] in READY and now[0] in READY)
