"""The workers of `benchmarks.load`: the agent's own links, which take what they are offered and end it when it says so.

`python -m benchmarks.load_fleet GATEWAY WORKERS EVENTS SLOTS` keeps them linked until it is told to end; SIGUSR1 cuts
all connections at once. `WORKERS` is a file made by `harness.fleet.save`. What happens is appended to `EVENTS`, one
JSON array a line: what, about whom or which job, and when, by the monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import msgspec

from airflow_edge.protocol.messages import Hello, Offer, Order, Stop, Void, Welcome
from harness.fleet import TakingWorker, WorkerKey

_AT_ONCE: Final = 20
_PAUSE: Final = 0.1
"""So many begin to link, and then others after so many seconds: enrolled workers do not all start in one moment."""
WRITTEN_EVERY: Final = 0.2
"""Seconds."""

Note = Callable[[str, str], None]


class Work(msgspec.Struct):
    """What a simulated job's workload says."""

    seconds: float = 0.0
    """For how long it runs."""


class _Worker(TakingWorker):
    def __init__(self, gateway: str, key: WorkerKey, slots: int, note: Note) -> None:
        super().__init__(gateway, key)
        self._slots = slots
        self._note = note

    def hello(self, session_id: str, received: int) -> Hello:
        return msgspec.structs.replace(super().hello(session_id, received), concurrency=self._slots)

    def welcomed(self, welcome: Welcome) -> None:
        self._note("linked", self.name)

    def receive(self, message: Offer | Stop | Void | Order, done: Callable[[], None], /) -> None:
        if isinstance(message, Offer):
            self._note("offered", message.job_id)
        super().receive(message, done)

    async def work(self, offer: Offer) -> None:
        await asyncio.sleep(msgspec.json.decode(offer.workload, type=Work).seconds)


def cut(port: int) -> None:
    """End all connections of this process to a port of this machine, as a network that is gone does."""
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError), socket.socket(fileno=os.dup(int(descriptor.name))) as connection:
            if connection.family == socket.AF_INET and connection.getpeername()[1] == port:
                connection.shutdown(socket.SHUT_RDWR)


async def _run(gateway: str, keys: list[WorkerKey], slots: int, events: Path) -> None:
    noted: list[tuple[str, str, float]] = []
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    port = httpx.URL(gateway).port
    assert port is not None
    loop.add_signal_handler(signal.SIGUSR1, cut, port)

    def note(what: str, about: str) -> None:
        noted.append((what, about, time.monotonic()))

    async def serve(key: WorkerKey) -> None:
        try:
            await _Worker(gateway, key, slots, note).run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the measurement is about it
            note("gave up", f"{key.name}: {error}")

    async def write() -> None:
        with events.open("a") as file:
            while True:
                await asyncio.sleep(WRITTEN_EVERY)
                lines = "".join(f"{json.dumps(one)}\n" for one in noted)
                noted.clear()
                file.write(lines)
                file.flush()

    running = [asyncio.create_task(write())]
    for number, key in enumerate(keys, 1):
        running.append(asyncio.create_task(serve(key)))
        if not number % _AT_ONCE:
            await asyncio.sleep(_PAUSE)
    await ended.wait()
    # Not one goodbye of thousands: the measurement is over.
    os._exit(0)


def main() -> None:
    gateway, workers, events, slots = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    keys = [WorkerKey(*fields) for fields in json.loads(Path(workers).read_text())]
    asyncio.run(_run(gateway, keys, int(slots), Path(events)))


if __name__ == "__main__":
    main()
