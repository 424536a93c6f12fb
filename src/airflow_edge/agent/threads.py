"""The agent's threads, which are there from its start to its end: at the limit of processes none could be begun.

Each kind of work has its own, so that none waits for another kind: for a name server that does not answer, say. At the
agent's end nobody waits for what they are still at.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, Unpack

from airflow_edge.agent.errors import AgentError

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LOOKUPS = 2
"""Threads that look up host names: a site knows its centre and perhaps a proxy."""
OTHERS = 3
"""Threads for what else may take its time: reading a log once more, measuring the machine, deleting old logs."""


class Threads(Executor):
    """A number of threads. Unlike the library's, they are begun at once, and the interpreter's end leaves them."""

    def __init__(self, count: int, name: str) -> None:
        """:raises AgentError: there are no more threads to be had."""
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        try:
            for number in range(count):
                threading.Thread(target=self._run, name=f"{name} {number}", daemon=True).start()
        except RuntimeError as error:
            raise AgentError(
                f"this user has as many processes and threads as it may ({error}); end some, or raise the limit "
                "(TasksMax= in the systemd unit, or `ulimit -u`)"
            ) from error

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called; see `concurrent.futures.Executor`."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
                future.set_exception(error)

        self._work.put(call)
        return future

    def _run(self) -> None:
        while True:
            self._work.get()()


class Loop(asyncio.SelectorEventLoop):
    """The agent's event loop, which has such threads in place of the library's."""

    def __init__(self) -> None:
        """:raises AgentError: there are no more threads to be had."""
        super().__init__()
        self._lookups = Threads(LOOKUPS, "lookup")
        self._others = Threads(OTHERS, "work")
        self._under_way: dict[object, asyncio.Future[Any]] = {}

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call a function in a thread; see `asyncio.loop.run_in_executor`."""
        return super().run_in_executor(executor or self._others, func, *args)

    async def getaddrinfo(self, host: Any, port: Any, **hints: int) -> Any:
        """Look up a host name; who asks while somebody else does gets the same answer."""
        question = host, port, *sorted(hints.items())
        lookup = self._under_way.get(question)
        if lookup is None:
            call = partial(socket.getaddrinfo, host, port, **hints)
            lookup = self._under_way[question] = self.run_in_executor(self._lookups, call)
            lookup.add_done_callback(partial(self._answered, question))
        # Who does not wait for it any longer leaves it to the others.
        return await asyncio.shield(lookup)

    def _answered(self, question: object, lookup: asyncio.Future[Any]) -> None:
        del self._under_way[question]
        if not lookup.cancelled():
            # Perhaps nobody waits for it any longer, which would be complained about.
            lookup.exception()
