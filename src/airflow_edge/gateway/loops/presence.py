"""Who is there: noted while it changes and with each heartbeat, with the consequences for those who are not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import attrs

from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.apart import each_apart
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.registry import Links
from airflow_edge.gateway.loops.stillness import Stillness
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.liveness import Silence
from airflow_edge.rules.metrics import Chunk
from airflow_edge.rules.overview import READY
from airflow_edge.store.store import Store
from airflow_edge.texts import counted, one_line

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
    _stillness: Stillness[UUID, datetime] = attrs.field(init=False)
    _found: dict[UUID, Silence] | None = attrs.field(default=None, init=False)
    """How silent everybody was when this process began to look, by its clock."""
    _unnoted: dict[UUID, str] = attrs.field(factory=dict, init=False)
    """Why what workers said could not be noted, as the log has it."""

    @_stillness.default
    def _begin_to_look(self) -> Stillness[UUID, datetime]:
        return Stillness(2 * self._config.patience.heartbeat_interval)

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
        silences = await self._look_for_silent()
        if marked := await self._calls.run(self._store.workers.mark_unreachable, silences):
            log.warning("%d workers were not heard from for %.0f s", len(marked), self._config.silence)
        await self._lose_unreachable(silences, began)
        self._began = began

    async def _note_all(self) -> None:
        links = self._open()
        await self._note(links, {link.worker.id: link.system for link in links})

    async def _note(self, links: Collection[WorkerLink], systems: Mapping[UUID, Mapping[str, object]]) -> None:
        for link, error in await each_apart(partial(self._note_some, systems), list(links)):
            # That it is there is noted all the same: its jobs depend on it.
            await self._note_some({}, [link], words=False)
            if self._unnoted.get(link.worker.id) != str(error):
                self._unnoted[link.worker.id] = str(error)
                log.error("What worker '%s' says of itself cannot be noted: %s", link.worker.name, one_line(str(error)))

    async def _note_some(
        self, systems: Mapping[UUID, Mapping[str, object]], links: Sequence[WorkerLink], *, words: bool = True
    ) -> None:
        noted = {link.worker.id: _now(link) for link in links}
        states = {worker_id: state for worker_id, (state, _) in noted.items()}
        comments = {worker_id: comment for worker_id, (_, comment) in noted.items()} if words else None
        causes = {link.worker.id: link.cause for link in links if link.cause is not None}
        now = datetime.now(UTC)
        said = {worker_id: systems[worker_id] for worker_id in noted if worker_id in systems}
        unwanted = await self._calls.run(self._store.workers.seen, states, said, comments, causes, now=now)
        for link in links:
            link.noted = noted[link.worker.id]
            if link.worker.id in unwanted:
                # One that was removed at once after it was revoked is not among those that have changed.
                link.close(CloseCode.REVOKED, "revoked")

    async def _keep_metrics(self) -> None:
        now = time.time()
        chunks = [chunk for link in self._open() if (chunk := link.measured(now)) is not None]
        if chunks and self._config.metrics_retention:
            for chunk, error in await each_apart(self._keep, chunks):
                log.error("Measurements of worker %s cannot be kept: %s", chunk.worker_id, one_line(str(error)))

    async def _keep(self, chunks: Sequence[Chunk]) -> None:
        await self._calls.run(self._store.metrics.write, chunks)

    async def _keep_jobs_alive(self) -> None:
        alive = [UUID(job_id) for link in self._open() for job_id in link.slots.job_ids().intersection(link.alive)]
        await self._calls.run(self._store.jobs.keep_alive, alive, self._config.patience, now=datetime.now(UTC))

    async def _look_for_silent(self) -> dict[UUID, Silence]:
        """Give the workers that are silent as this process has seen it itself: it compares no clock with another's.

        A silence that it has found counts from its beginning, so that graces end though processes come and go: its
        clock is believed that once, and only of a worker that it then finds silent itself.
        """
        clock = asyncio.get_running_loop().time
        asked = clock()
        seen = await self._calls.run(self._store.workers.last_seen)
        unchanged = self._stillness.look(seen, asked=asked, answered=clock())
        if self._found is None:
            now = datetime.now(UTC)
            self._found = {worker_id: Silence(at, max(at, now)) for worker_id, at in seen.items()}
        linked = {link.worker.id for link in self._open()}
        silences: dict[UUID, Silence] = {}
        for worker_id in seen.keys() - linked:
            at, seconds = seen[worker_id], unchanged[worker_id]
            if seconds > self._config.silence:
                found = self._found.get(worker_id)
                until = found.until if found and found.since == at else at
                silences[worker_id] = Silence(at, until + timedelta(seconds=seconds))
        return silences

    async def _lose_unreachable(self, silences: Mapping[UUID, Silence], began: float) -> None:
        steady = asyncio.get_running_loop().time() - max(began, self._calls.failed_at)
        if steady < min(SETTLING, self._config.patience.shortest.total_seconds()):
            return
        now = datetime.now(UTC)
        if lost := await self._calls.run(self._store.jobs.lose_unreachable, silences, self._config.patience, now=now):
            log.warning("%s lost: out of reach for longer than its worker's grace", counted(lost, "job is", "jobs are"))

    def _open(self) -> list[WorkerLink]:
        return [link for link in self._links if link.open]


def _now(link: WorkerLink) -> tuple[WorkerState, str]:
    return link.state, link.comment


def _alike(noted: tuple[WorkerState, str], now: tuple[WorkerState, str]) -> bool:
    return noted == now or (noted[0] in READY and now[0] in READY)
