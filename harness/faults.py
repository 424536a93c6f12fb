"""A TCP proxy that misbehaves on demand: it stands for the network between a site and the centre's API servers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from enum import Flag, auto
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_CHUNK = 64 * 1024
_CONNECT_TIMEOUT = 2.0
_LINGER_ZERO = struct.pack("ii", 1, 0)
"""`SO_LINGER` with no time left: closing sends RST instead of FIN."""


class Direction(Flag):
    """Which way bytes go: `UP` is from the client to the server."""

    UP = auto()
    DOWN = auto()
    BOTH = UP | DOWN


class _Conditions:
    """The lasting faults of a proxy or of one connection."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.blocked = Direction(0)
        self.delays = dict.fromkeys((Direction.UP, Direction.DOWN), 0.0)
        self.rates = dict.fromkeys((Direction.UP, Direction.DOWN), float("inf"))

    def throttle(self, rate: float, direction: Direction) -> None:
        for way in direction:
            self.rates[way] = rate

    def delay(self, seconds: float, direction: Direction) -> None:
        for way in direction:
            self.delays[way] = seconds


class Connection:
    """A client's connection through the proxy, with faults of its own on top of the proxy's. Any thread may call it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        common: _Conditions,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.since = time.monotonic()
        self.upstream: str | None = None
        """The server it goes to, `host:port`; None until it is connected there."""
        self._loop = loop
        self._common = common
        self._own = _Conditions()
        self._halving = Direction(0)
        self._changed = asyncio.Event()
        self._client = reader, writer
        self._writers = [writer]
        self._task: asyncio.Task[None] | None = None

    def block(self, direction: Direction = Direction.BOTH) -> None:
        """Let nothing pass any more; what is sent meanwhile waits, as TCP would send it again, until `restore`."""
        _call(self._loop, self._block, direction)

    def delay(self, seconds: float, direction: Direction = Direction.BOTH) -> None:
        """Hold each piece back for so long; their order stays."""
        _call(self._loop, self._own.delay, seconds, direction)

    def restore(self) -> None:
        """End this connection's own lasting faults."""
        _call(self._loop, self._restore)

    def halve(self, direction: Direction = Direction.BOTH) -> None:
        """Let half of the next piece that comes this way pass, then cut."""
        _call(self._loop, self._halve, direction)

    def cut(self) -> None:
        """Close both sides in order (FIN); what was held back is lost."""
        _call(self._loop, self._cut)

    def reset(self) -> None:
        """Close both sides with RST; what was under way is lost."""
        _call(self._loop, self._reset)

    def _block(self, direction: Direction) -> None:
        self._own.blocked |= direction

    def _restore(self) -> None:
        self._own.clear()
        self._changed.set()

    def _halve(self, direction: Direction) -> None:
        self._halving = direction

    def _cut(self) -> None:
        for writer in self._writers:
            writer.close()
        self._end()

    def _reset(self) -> None:
        for writer in self._writers:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            writer.transport.abort()
        self._end()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, upstreams: Sequence[tuple[str, int]]) -> None:
        """Relay until both sides have said all; the first of `upstreams` that answers is the server."""
        self._task = asyncio.current_task()
        try:
            await self._passage(Direction.UP)
            server = await self._connect(upstreams)
            if server is None:
                self._reset()
                return
            self._writers.append(server[1])
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(Direction.UP, self._client[0], server[1]))
                pumps.create_task(self._pump(Direction.DOWN, server[0], self._client[1]))
            self._cut()
        except* OSError:
            # One side was reset: so is the other.
            self._reset()
        finally:
            for writer in self._writers:
                writer.close()

    async def _connect(
        self, upstreams: Sequence[tuple[str, int]]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for host, port in upstreams:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT_TIMEOUT):
                    streams = await asyncio.open_connection(host, port)
                self.upstream = f"{host}:{port}"
                return streams
        return None

    async def _pump(self, way: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._passage(way)
            if way in self._halving:
                writer.write(data[: len(data) // 2])
                self._cut()
                return
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(len(data) / self._common.rates[way])
        await self._passage(way)
        writer.write_eof()

    async def _passage(self, way: Direction) -> None:
        """Wait until something may go this way."""
        await asyncio.sleep(max(self._common.delays[way], self._own.delays[way]))
        while way in self._common.blocked | self._own.blocked:
            self._changed.clear()
            await self._changed.wait()


class FaultProxy:
    """A load balancer for TCP on a free loopback port, and all that can go wrong with the network behind it.

    It gives each connection to the next of its servers that accepts one. Lasting faults hold for the connections there
    are and for those to come, until `restore`. It runs in a thread of its own; any thread may call it.
    """

    def __init__(self, upstreams: Sequence[str]) -> None:
        """`upstreams` are the servers' URLs; only host and port of them count."""
        self._upstreams = [_address(url) for url in upstreams]
        self._turn = 0
        self._conditions = _Conditions()
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        # Bound for as long as the proxy lives, so that nobody else gets the port while it refuses connections.
        self._placeholder = _bound_socket(0)
        self.port: int = self._placeholder.getsockname()[1]
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"fault-proxy-{self.port}", daemon=True)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self.restore()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._placeholder.close()

    def connections(self) -> list[Connection]:
        """The connections there are, oldest first."""
        return _call(self._loop, lambda: list(self._connections))

    def route(self, upstreams: Sequence[str]) -> None:
        """Give the connections that come from now on to other servers, by their URLs."""
        addresses = [_address(url) for url in upstreams]
        _call(self._loop, setattr, self, "_upstreams", addresses)

    def block(self, direction: Direction = Direction.BOTH) -> None:
        """Become a black hole: connections are accepted and stay, but nothing passes in this direction.

        What is sent meanwhile passes after `restore`, even if its sender has gone by then; `reset` first to lose it.
        """
        _call(self._loop, self._block, direction)

    def delay(self, seconds: float, direction: Direction = Direction.BOTH) -> None:
        """Hold each piece back for so long; their order stays."""
        _call(self._loop, self._conditions.delay, seconds, direction)

    def throttle(self, rate: float, direction: Direction = Direction.BOTH) -> None:
        """Let only so many bytes a second pass on each connection; what more is sent fills the sender's buffers."""
        _call(self._loop, self._conditions.throttle, rate, direction)

    def refuse(self) -> None:
        """Refuse new connections; those there are stay."""
        _call(self._loop, self._stop_listening)

    def restore(self) -> None:
        """End all lasting faults, those of single connections too."""
        asyncio.run_coroutine_threadsafe(self._restore(), self._loop).result()

    def halve(self, direction: Direction = Direction.BOTH) -> None:
        """Let half of the next piece that comes this way on each connection there is pass, then cut that one."""
        self._each(Connection._halve, direction)

    def cut(self) -> None:
        """Close every connection there is, in order (FIN); what was held back is lost."""
        self._each(Connection._cut)

    def reset(self) -> None:
        """Close every connection there is with RST; what was under way is lost."""
        self._each(Connection._reset)

    def _each(self, action: Callable[..., None], *arguments: object) -> None:
        def apply() -> None:
            for connection in list(self._connections):
                action(connection, *arguments)

        _call(self._loop, apply)

    def _block(self, direction: Direction) -> None:
        self._conditions.blocked |= direction

    async def _restore(self) -> None:
        self._conditions.clear()
        for connection in self._connections:
            connection._restore()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, sock=_bound_socket(self.port))

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self._loop, self._conditions, reader, writer)
        self._turn += 1
        first = self._turn % len(self._upstreams)
        serving = asyncio.create_task(connection._serve(self._upstreams[first:] + self._upstreams[:first]))
        self._connections[connection] = serving
        serving.add_done_callback(lambda _: self._connections.pop(connection))

    async def _close(self) -> None:
        self._stop_listening()
        serving = list(self._connections.values())
        for connection in list(self._connections):
            connection._reset()
        await asyncio.gather(*serving, return_exceptions=True)


def _call(loop: asyncio.AbstractEventLoop, action: Callable[..., T], *arguments: object) -> T:
    """Run `action` in the loop's thread and give its result."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(action(*arguments))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the caller is
            result.set_exception(error)

    loop.call_soon_threadsafe(run)
    return result.result()


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"'{url}' names no host and port")
    return parts.hostname, parts.port
