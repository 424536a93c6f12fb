"""Whether the process that has a worker's link lives: it is asked, here or by the gateway that has the link."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import attrs

from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.registry import Links
from airflow_edge.rules.worker import Holder, Worker
from airflow_edge.store.workers.instances import Instances

PATIENCE = 4.0
"""Seconds that a process has to answer. A link that has broken without a word costs a restarted worker this much."""
PATIENCE_ELSEWHERE = 8.0
"""The same where another gateway has to ask. That looks twice a second what it is asked; a dead one never answers."""
LOOK_INTERVAL = 0.25


@attrs.define
class Inquiry:
    """What one gateway process asks of links, and answers other gateways about its own."""

    _instances: Instances
    _calls: StoreCalls
    _links: Links
    _asking: dict[UUID, asyncio.Task[None]] = attrs.field(factory=dict, init=False)
    """By link."""
    _wanted: dict[UUID, int] = attrs.field(factory=dict, init=False)
    """The newest question about each of them."""

    async def lives(self, worker_id: UUID, holder: Holder, gateway_id: str) -> bool:
        """Say whether the process that has this worker's link is there: only one that lives now can answer.

        :param gateway_id: of this gateway
        :raises StoreUnavailableError: the database failed.
        """
        if holder.link_id is None:
            return False
        link = self._links.get(worker_id)
        if link is not None and link.id == holder.link_id:
            return await link.answers(PATIENCE)
        if holder.gateway_id == gateway_id:
            return False
        return await self._lives_elsewhere(worker_id, holder.link_id)

    async def _lives_elsewhere(self, worker_id: UUID, link_id: UUID) -> bool:
        question = await self._calls.run(self._instances.ask, worker_id, link_id, now=datetime.now(UTC))
        if question is None:
            return False
        clock = asyncio.get_running_loop().time
        until = clock() + PATIENCE_ELSEWHERE
        while clock() < until:
            await asyncio.sleep(LOOK_INTERVAL)
            answer = await self._calls.run(self._instances.answer_to, worker_id, question)
            if answer is not None:
                return answer
        # That gateway is dead or stands still.
        return False

    async def answer(self, workers: Iterable[Worker], gateway_id: str) -> None:
        """Answer what other gateways have asked of this one, whose id is given.

        :param workers: those that have changed
        """
        for worker in workers:
            if worker.gateway_id != gateway_id or worker.link_id is None or worker.answered >= worker.question:
                continue
            link = self._links.get(worker.id)
            if link is None or link.id != worker.link_id:
                # One that is about to link may be noted already; it is looked for again.
                if not self._links.lock(worker.id).locked():
                    await self._answer(worker.id, worker.link_id, worker.question, there=False)
                continue
            self._wanted[link.id] = worker.question
            if link.id not in self._asking:
                name = f"inquiry about worker {worker.name}"
                self._asking[link.id] = asyncio.create_task(self._pass_on(worker, link), name=name)

    async def _pass_on(self, worker: Worker, link: WorkerLink) -> None:
        try:
            answered = 0
            # Others may ask meanwhile.
            while (question := self._wanted[link.id]) > answered:
                await self._answer(worker.id, link.id, question, there=await link.answers(PATIENCE))
                answered = question
        except StoreUnavailableError:
            # It was logged; whoever has asked waits only so long.
            return
        finally:
            del self._asking[link.id], self._wanted[link.id]

    async def _answer(self, worker_id: UUID, link_id: UUID, question: int, *, there: bool) -> None:
        await self._calls.run(self._instances.answer, worker_id, link_id, question, there=there)

    async def stop(self) -> None:
        """Ask no further."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
