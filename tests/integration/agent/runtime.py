"""A runtime without Airflow behind it: the test says what becomes of jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
from msgspec.structs import replace

from airflow_edge.agent.supervisors.sending import Outbox
from airflow_edge.protocol.local import (
    JOB_FILE,
    LOG_FILE,
    SUPERVISOR_LOG_FILE,
    Alive,
    JobExited,
    JobFile,
    JobNotStarted,
    JobStarted,
    LocalJob,
    Outcome,
    Probe,
    Retire,
    RuntimeHello,
    StartJob,
    StopJob,
    ToAgent,
    ToRuntime,
    encode_local,
)
from airflow_edge.runtime.outcome import write_outcome
from airflow_edge.site.pipes import Inbox, close, emptied

M = TypeVar("M")
Key = tuple[str, int]


class Runtime:
    """Listens on the runtime's socket; starts every job that it is given."""

    def __init__(self, path: Path) -> None:
        self.orders: list[ToRuntime] = []
        self.jobs: dict[Key, JobFile] = {}
        self.folders: dict[Key, Path] = {}
        self.retired = False
        self.ready = asyncio.Event()
        """Until it is set, nothing is said to an agent that connects."""
        self.knows_probes = True
        self.answers = True
        """Whether it says that it is there when it is asked."""
        self.warnings: tuple[str, ...] = ()
        self.no_process = ""
        """Why the machine has no process for a job now."""
        self.ready.set()
        self._socket = path
        self._changed = asyncio.Condition()
        self._agent: socket.socket | None = None
        self._outbox: Outbox | None = None
        self._running: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        return self._outbox is not None

    async def start(self) -> None:
        self._socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._socket))
        listener.listen()
        listener.setblocking(False)
        self._go(self._accept(listener))

    async def stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def until(self, probe: Callable[[], M | None], *, patience: float = 60.0) -> M:
        async with asyncio.timeout(patience), self._changed:
            while not (found := probe()):
                await self._changed.wait()
            return found

    async def started(self, job_id: str, assignment: int = 1) -> JobFile:
        return await self.until(lambda: self.jobs.get((job_id, assignment)))

    async def stopped(self, job_id: str, assignment: int = 1) -> StopJob:
        def asked() -> StopJob | None:
            stops = [order for order in self.orders if isinstance(order, StopJob)]
            return next((s for s in stops if (s.job_id, s.assignment) == (job_id, assignment)), None)

        return await self.until(asked)

    def exit(self, job_id: str, assignment: int = 1, *, code: int = 0, reason: str = "", tell: bool = True) -> None:
        """Let a job end as its supervisor would."""
        del self.jobs[job_id, assignment]
        outcome = Outcome(job_id=job_id, assignment=assignment, exit_code=code, reason=reason)
        write_outcome(self.folders[job_id, assignment], outcome)
        if tell:
            self.say(JobExited(job_id=job_id, assignment=assignment, exit_code=code))

    def write_log(self, job_id: str, data: bytes, assignment: int = 1) -> None:
        with (self.folders[job_id, assignment] / LOG_FILE).open("ab") as log:
            log.write(data)

    def api(self, job: JobFile) -> httpx.AsyncClient:
        """Give what the job's supervisor would use to call the Execution API."""
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=job.api_socket),
            base_url="http://edge/",
            headers={"Authorization": f"Bearer {job.secret}"},
            timeout=60,
        )

    def hang_up(self) -> None:
        """Break the connection; the agent makes another one."""
        assert self._agent is not None
        self._drop()

    def say(self, message: ToAgent) -> None:
        assert self._outbox is not None
        self._outbox.send(encode_local(message))

    def _go(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _drop(self) -> None:
        if self._agent is not None and self._outbox is not None:
            self._outbox.close()
            with contextlib.suppress(OSError):
                # For whoever waits to read there, too.
                self._agent.shutdown(socket.SHUT_RDWR)

    async def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                connection.setblocking(False)
                self._go(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        await self.ready.wait()
        self._agent, self._outbox = connection, Outbox(connection)
        outbox = self._outbox
        jobs = tuple(LocalJob(job_id=job_id, assignment=number, pid=1) for job_id, number in self.jobs)
        self.say(
            RuntimeHello(
                pid=os.getpid(),
                airflow_version="3.3.2",
                jobs=jobs,
                knows_probes=self.knows_probes,
                warnings=self.warnings,
            )
        )
        await self._notify()
        inbox = Inbox()
        try:
            with contextlib.suppress(OSError):
                while True:
                    await _readable(connection)
                    for order, secret in inbox.receive(connection):
                        await self._obey(order, secret)
        finally:
            outbox.close()
            connection.close()

    async def _obey(self, order: ToRuntime, secret: int | None) -> None:
        self.orders.append(order)
        match order:
            case Probe(fork=fork) if self.answers:
                self.say(Alive(obstacle=self.no_process if fork else None))
            case StartJob() if self.no_process:
                close(secret)
                self.say(JobNotStarted(**order.key._asdict(), reason=self.no_process, passing=True))
            case StartJob():
                folder = Path(order.folder)
                key = (order.job_id, order.assignment)
                self.folders[key] = folder
                (folder / SUPERVISOR_LOG_FILE).touch()
                job = msgspec.json.decode((folder / JOB_FILE).read_bytes(), type=JobFile)
                assert (job.secret, secret is None) == ("", False), "a job's secret comes by a pipe only"
                self.jobs[key] = replace(job, secret=emptied(secret) if secret is not None else "")
                self.say(JobStarted(job_id=order.job_id, assignment=order.assignment, pid=1))
            case Retire():
                self.retired = True
                self._drop()
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)


def state_body(state: str) -> bytes:
    body: dict[str, Any] = {"state": state, "end_date": "2026-01-01T00:00:00Z"}
    return json.dumps(body).encode()
