"""A real agent process before a real gateway; its runtime is the test's, so that the test says when tasks end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_edge.admin.audit import OrderOutcome
from airflow_edge.admin.fleet import Fleet
from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import NotRunningError
from airflow_edge.agent.net.identity import Identity
from airflow_edge.agent.process.control import ask
from airflow_edge.protocol.messages import OrderKind
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import Worker
from tests.integration.agent.conftest import DAGS, Agent
from tests.integration.agent.runtime import Runtime
from tests.integration.gateway.world import Centre, wait_until

HEARTBEAT = 0.25
"""Seconds; a worker is missed after some of them."""


class FleetWorker:
    """One enrolled worker: its agent, its runtime, and what the centre and people can do with it."""

    def __init__(self, centre: Centre, folder: Path, *, gateway: str = "", **environment: str) -> None:
        self.centre = centre
        self.queue = centre.queue_name()
        self.site = centre.trusted_site(self.queue)
        self.fleet = Fleet(centre.store)
        self.config = Config(state_dir=folder / "state", concurrency=8)
        self.identity = Identity(
            worker_id=self.site.worker_id,
            name=self.site.name,
            api_url=gateway or centre.gateway,
            queues=(self.queue,),
            private_key=self.site.key.private_bytes_raw().hex(),
            centre_key=centre.centre_key(),
        )
        self.identity.save(self.config.identity_file)
        self.runtime = Runtime(self.config.runtime_socket)
        self.environment = environment
        self.agent = Agent(
            self.config,
            {
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "AIRFLOW__EDGE__STATE_DIR": str(self.config.state_dir),
                "AIRFLOW__EDGE__WORKER_CONCURRENCY": "8",
                "AIRFLOW__EDGE__TASK_STOP_GRACE": "1",
                "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
                **environment,
            },
        )

    async def start(self) -> None:
        await self.agent.start()

    async def crash(self) -> None:
        """The agent dies without a word; its tasks do not notice."""
        await self.agent.kill()

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        """As long as this lasts nothing is heard from the agent."""
        self.agent.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.agent.signal(signal.SIGCONT)

    # What the centre knows

    def row(self) -> Worker:
        worker = self.centre.store.workers.get(self.site.id)
        assert worker is not None
        return worker

    async def becomes(self, state: str, comment: str = "", *, patience: float = 60.0) -> None:
        """Wait until the centre shows this state, with this comment."""
        await wait_until(
            lambda: (self.row().state.value, self.row().maintenance_comment),
            lambda seen: seen == (state, comment),
            patience=patience,
        )

    async def queue_jobs(self, count: int) -> list[str]:
        """Put tasks into its queue."""
        tasks = [self.centre.task_instance(self.queue) for _ in range(count)]
        return [str(self.centre.queue(self.queue, workload_id=task).id) for task in tasks]

    async def run_jobs(self, count: int) -> list[str]:
        """Put tasks into its queue and wait until they run."""
        jobs = await self.queue_jobs(count)
        await self.runtime.until(lambda: self.running.issuperset(jobs), patience=30)
        for job in jobs:
            await self.centre.wait_for_state(job, "running")
        return jobs

    async def finish(self, *jobs: str) -> None:
        """Let tasks end well."""
        for job in jobs:
            self.runtime.exit(job, next(number for name, number in self.runtime.jobs if name == job))
            await self.centre.wait_for_state(job, "succeeded")

    @property
    def running(self) -> set[str]:
        """The jobs that the runtime has."""
        return {job for job, _ in self.runtime.jobs}

    # What people do

    def wish(
        self, kind: OrderKind, text: str = "", number: int | None = None, until: datetime | None = None
    ) -> OrderOutcome:
        """Ask something of it, as the commands and the REST API do."""
        return self.fleet.give_order(self.row(), Wish(kind, text, number, until), by="admin")

    async def outcome(self, asked: OrderOutcome, *, patience: float = 60.0) -> tuple[str, str]:
        """Wait for the worker's answer."""
        order = asked.order_id
        assert order is not None, asked
        answer = await wait_until(
            lambda: self.fleet.outcome(order), lambda seen: bool(seen and seen.result != "waiting"), patience=patience
        )
        assert answer is not None
        return answer.result, answer.detail

    async def order(self, kind: OrderKind, text: str = "", number: int | None = None) -> tuple[str, str]:
        """Ask something of it and wait for the answer."""
        return await self.outcome(self.wish(kind, text, number))

    async def ask(self, command: str, text: str = "") -> Any:
        """Do at the site what `airflow-edge` does."""
        return await asyncio.to_thread(ask, self.config.control_socket, command, text)

    async def status(self) -> dict[str, Any]:
        """What `airflow-edge status` shows, as soon as the agent can be asked."""
        return await self.shows(lambda _: True)

    async def shows(self, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until `airflow-edge status` shows it."""

        def look() -> dict[str, Any]:
            with contextlib.suppress(NotRunningError):
                answer: dict[str, Any] = ask(self.config.control_socket, "status")
                return answer
            return {}

        return await wait_until(look, lambda status: bool(status) and enough(status))


@asynccontextmanager
async def enrolled(centre: Centre, folder: Path, *, gateway: str = "", **environment: str):
    """A worker whose runtime is there, and whose agent was not started yet.

    :param gateway: where the worker finds the centre, if that is not at the fleet's own gateway
    """
    worker = FleetWorker(centre, folder, gateway=gateway, **environment)
    await worker.runtime.start()
    try:
        yield worker
    finally:
        if worker.agent.was_started:
            with contextlib.suppress(ProcessLookupError):
                worker.agent.signal(signal.SIGCONT)
            await worker.agent.kill()
            sys.stderr.write(worker.agent.log.read_text())
        await worker.runtime.stop()


@asynccontextmanager
async def linked(centre: Centre, folder: Path, *, gateway: str = "", **environment: str):
    """A worker that is idle; see `enrolled`."""
    async with enrolled(centre, folder, gateway=gateway, **environment) as worker:
        await worker.start()
        await worker.becomes("idle")
        yield worker


def workload(dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, try_number: int = 1) -> str:
    """What Airflow's workload says of its task."""
    return json.dumps(
        {
            "token": "",
            "ti": {
                "dag_id": dag_id,
                "run_id": run_id,
                "task_id": task_id,
                "map_index": map_index,
                "try_number": try_number,
            },
        }
    )
