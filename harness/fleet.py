"""Many linked workers in one process: the agent's own link with a real key each, and nothing behind it.

`python -m harness.fleet GATEWAY WORKERS EVENTS` keeps them linked until it is told to end. `WORKERS` is a file made by
`save`; what happens is appended to the file `EVENTS` at once, one JSON object a line, times by the monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from airflow_edge.agent.link.link import Link
from airflow_edge.agent.link.owner import Owner
from airflow_edge.agent.net.centre_key import Pin
from airflow_edge.agent.net.identity import Identity
from airflow_edge.protocol import handshake
from airflow_edge.protocol.frames import CentreFrame
from airflow_edge.protocol.messages import (
    Accepted,
    Ended,
    HeldJob,
    Hello,
    Offer,
    Order,
    Released,
    Signed,
    Status,
    Stop,
    Void,
    Welcome,
)
from airflow_edge.protocol.problems import KeyLink
from airflow_edge.protocol.signatures import LinkContext, content
from airflow_edge.protocol.states import WorkerState


class WorkerKey(NamedTuple):
    """An enrolled worker's id, its name, and its private key (32 bytes, hex)."""

    worker_id: str
    name: str
    private_key: str


class AnyCentre(Pin):
    """Takes whoever answers for the centre: these workers do nothing."""

    def follow(self, links: Sequence[KeyLink]) -> None:
        pass

    def opened(self, frame: CentreFrame, conversation: LinkContext) -> CentreFrame:
        return CentreFrame(frame.seq, frame.ack, content(frame.body)) if isinstance(frame.body, Signed) else frame


class IdleWorker:
    """The least that a link needs of its owner: it has no jobs, and takes none."""

    def __init__(self, gateway: str, key: WorkerKey) -> None:
        """:param gateway: the gateway's base URL"""
        self.identity = Identity(
            worker_id=key.worker_id,
            name=key.name,
            api_url=gateway,
            queues=(),
            private_key=key.private_key,
            centre_key="00" * 32,
        )
        self.name = key.name
        self.hellos = 0
        self.welcomes = 0
        self.link = Link(gateway, self.identity, AnyCentre(self.identity.centre_key, lambda key: None))

    def hello(self, session_id: str, received: int) -> Hello:
        self.hellos += 1
        return Hello(
            oldest_protocol=handshake.OLDEST,
            newest_protocol=handshake.NEWEST,
            session_id=session_id,
            received=received,
            boot_id="boot",
            agent_version="0",
            airflow_version="3",
            python_version="3",
            platform="linux",
            concurrency=4,
            queues=None,
            state=WorkerState.IDLE,
            jobs=(),
        )

    def status(self) -> Status:
        return Status(state=WorkerState.IDLE, alive=())

    def welcomed(self, welcome: Welcome) -> None:
        self.welcomes += 1

    def receive(self, message: Offer | Stop | Void | Order, done: Callable[[], None], /) -> None:
        done()

    async def run(self) -> None:
        """Keep linked."""
        await self.link.run(
            Owner(
                hello=self.hello,
                status=self.status,
                welcomed=self.welcomed,
                serves=lambda queues: None,
                receive=self.receive,
                acknowledged=lambda key: None,
                log_acknowledged=lambda ack: None,
                worker_log_wanted=lambda message: None,
                next_chunk=lambda: None,
                has_tasks=lambda: False,
            )
        )


class TakingWorker(IdleWorker):
    """Takes each job that it is offered at once, and ends it when `work` is done."""

    def __init__(self, gateway: str, key: WorkerKey) -> None:
        super().__init__(gateway, key)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, HeldJob] = {}

    def hello(self, session_id: str, received: int) -> Hello:
        return msgspec.structs.replace(super().hello(session_id, received), jobs=tuple(self._held.values()))

    def status(self) -> Status:
        return msgspec.structs.replace(super().status(), alive=tuple(self._held))

    def receive(self, message: Offer | Stop | Void | Order, done: Callable[[], None], /) -> None:
        if isinstance(message, Offer):
            self.link.send(Accepted(job_id=message.job_id, assignment=message.assignment))
            task = asyncio.create_task(self._take(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        super().receive(message, done)

    async def end(self) -> None:
        """Leave what it is at."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def work(self, offer: Offer) -> None:
        """Do what the job is."""

    async def _take(self, offer: Offer) -> None:
        job_id, assignment = offer.job_id, offer.assignment
        self._held[job_id] = HeldJob(job_id=job_id, assignment=assignment, phase="running")
        await self.work(offer)
        self.link.send(Released(job_id=job_id, assignment=assignment))
        self.link.send(Ended(job_id=job_id, assignment=assignment, exit_code=0))
        del self._held[job_id]


class _Observed(IdleWorker):
    def __init__(self, gateway: str, key: WorkerKey, note: Callable[..., None]) -> None:
        super().__init__(gateway, key)
        self._note = note

    def hello(self, session_id: str, received: int) -> Hello:
        self._note("hello", self.name)
        return super().hello(session_id, received)

    def welcomed(self, welcome: Welcome) -> None:
        self._note("linked", self.name)


class _Notes(logging.Handler):
    def __init__(self, note: Callable[..., None]) -> None:
        super().__init__(logging.WARNING)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note("trouble", record.getMessage())


def save(keys: Sequence[WorkerKey], file: Path) -> None:
    """Write the file that the program reads."""
    file.touch(mode=0o600)
    file.write_text(json.dumps(keys))


def new_private_key() -> str:
    """Make a worker's private key."""
    return secrets.token_hex(32)


async def _run(gateway: str, keys: Sequence[WorkerKey], note: Callable[..., None]) -> None:
    logging.getLogger("airflow_edge.agent.link.link").addHandler(_Notes(note))
    logging.getLogger("airflow_edge.agent.link.link").propagate = False
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)

    async def serve(key: WorkerKey) -> None:
        try:
            await _Observed(gateway, key, note).run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the measurement is about it
            note("gave up", f"{key.name}: {error}")

    running = [asyncio.create_task(serve(key)) for key in keys]
    await ended.wait()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def main() -> None:
    gateway, workers, events = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    keys = [WorkerKey(*fields) for fields in json.loads(Path(workers).read_text())]
    with Path(events).open("a", buffering=1) as file:

        def note(what: str, about: str) -> None:
            file.write(json.dumps({"at": time.monotonic(), "what": what, "about": about}) + "\n")

        asyncio.run(_run(gateway, keys, note))


if __name__ == "__main__":
    main()
