"""Workers that link as the agent does, and whose jobs take no time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from airflow_edge.agent.link.fallback import Suspicion
from airflow_edge.protocol.messages import Accepted, Ended, Offer, Released, Void
from harness.fleet import IdleWorker, WorkerKey
from tests.integration.gateway.world import wait_until


class Worker(IdleWorker):
    """Every job it is offered is done at once."""

    def __init__(self, gateway: str, site) -> None:
        super().__init__(gateway, WorkerKey(site.worker_id, site.name, site.key.private_bytes_raw().hex()))
        self.offers: list[tuple[str, int]] = []
        self.void: list[tuple[str, int]] = []
        self.at_a_loss = False
        """It hears what the centre says, and never gets done with it."""

    def receive(self, message, done, /) -> None:
        if isinstance(message, Offer):
            self.offers.append((message.job_id, message.assignment))
            if self.at_a_loss:
                return
            job_id, assignment = message.job_id, message.assignment
            self.link.send(Accepted(job_id=job_id, assignment=assignment))
            self.link.send(Released(job_id=job_id, assignment=assignment))
            self.link.send(Ended(job_id=job_id, assignment=assignment, exit_code=0))
        if isinstance(message, Void):
            self.void.append((message.job_id, message.assignment))
        super().receive(message, done)

    async def attempts(self, count: int) -> None:
        """Wait until a connection was made so often."""
        await wait_until(lambda: self.hellos, lambda made: made >= count, patience=60)

    async def linked_by(self, transport: str, *, patience: float = 60.0) -> None:
        await wait_until(
            lambda: self.link.state,
            lambda state: (state.state, state.transport) == ("linked", transport),
            patience=patience,
        )


@asynccontextmanager
async def at_work(gateway: str, site, *, polling: bool = False):
    """A worker that is linked, or tries to be, all the time.

    :param polling: as if no WebSocket got through
    """
    worker = Worker(gateway, site)
    if polling:
        worker.link._opener._fallback.websocket_failed(Suspicion.CERTAIN, "so the test says")
    running = asyncio.create_task(worker.run())
    try:
        yield worker
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
