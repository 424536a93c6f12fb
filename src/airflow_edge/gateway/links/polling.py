"""Frames over long polling, as `protocol.polling` describes it: connections that live longer than their requests."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from typing import Final
from uuid import UUID, uuid4

from airflow_edge.gateway.http import ProblemError
from airflow_edge.gateway.links.connection import ConnectionClosedError
from airflow_edge.protocol.frames import SiteFrame, decode_site_frame
from airflow_edge.protocol.polling import BATCH_BYTES, MAX_FRAMES, End, encode_reply
from airflow_edge.protocol.problems import CloseCode, Code

log = logging.getLogger(__name__)

REMEMBERED = 60.0
"""Seconds for which a connection that has ended can still tell its site why."""
STOP_PATIENCE = 2.0
MOST_REASON = 500
"""Characters."""
TAG_LENGTH: Final = 16
"""Digits of the id of a gateway's process with which the names of its links begin, so that each knows whose one is."""


def tag_of(name: str) -> str:
    """Give the tag of the gateway whose link has this name, or of the one whose id this is, in hex."""
    return name[:TAG_LENGTH]


def over(name: str) -> bytes:
    """Make the answer to a request for a link that is no more."""
    return encode_reply(name, end=End(CloseCode.UNREADY, "there is no such link any more; it is made anew"))


def link_elsewhere() -> ProblemError:
    """Make the refusal of a request for a link of nobody knows whom."""
    return ProblemError(
        HTTPStatus.MISDIRECTED_REQUEST,
        Code.LINK_ELSEWHERE,
        "No API server process is known to have this link. The worker tries others, and then links anew.",
    )


class PollConnection:
    """The centre's end of one link by long polling."""

    transport = "long polling"

    def __init__(self, name: str, worker_id: UUID, address: str = "") -> None:
        self.name = name
        self.address = address
        self.worker_id = worker_id
        self._up: deque[bytes] = deque()
        self._down: deque[bytes] = deque()
        self._down_bytes = 0
        self._end: End | None = None
        self._listener: object = None
        self._cut = False
        self._changed = asyncio.Condition()

    # For the link

    async def receive(self, patience: float | None) -> SiteFrame:
        """Wait until the site's next frame is here; see `Connection`."""
        async with asyncio.timeout(patience), self._changed:
            await self._changed.wait_for(lambda: self._up or self._cut)
            if self._cut:
                raise ConnectionClosedError(CloseCode.CUT)
            frame = self._up.popleft()
            if not self._up:
                self._changed.notify_all()
        return decode_site_frame(frame)

    async def send(self, frame: bytes) -> None:
        """Keep an encoded frame for the request that waits, or for the next one; see `Connection`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._down_bytes < BATCH_BYTES and len(self._down) < MAX_FRAMES)
            self._down.append(frame)
            self._down_bytes += len(frame)
            self._changed.notify_all()

    async def close(self, code: int, reason: str) -> None:
        """End it; the site hears of it with its next request."""
        async with self._changed:
            if self._end is None:
                self._end = End(code, reason[:MOST_REASON])
                self._up.clear()
            self._changed.notify_all()

    # For the requests

    async def take(self, frames: Collection[bytes]) -> bytes:
        """Take in the site's frames, as soon as those before them are worked on."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._up or self._end)
            if self._end is None:
                self._up.extend(frames)
                self._changed.notify_all()
            return encode_reply(self.name, end=self._end)

    async def listen(self, patience: float) -> bytes:
        """Give what there is for the site, as soon as there is something, or nothing after `patience` seconds.

        A newer call takes the place of one that still waits: its request may have been given up on the way.
        """
        me = self._listener = object()
        async with self._changed:
            self._changed.notify_all()
            try:
                async with asyncio.timeout(patience):
                    await self._changed.wait_for(lambda: self._down or self._end or self._listener is not me)
            except TimeoutError:
                return encode_reply(self.name)
            if self._listener is not me:
                return encode_reply(self.name)
            frames = tuple(self._down)
            self._down.clear()
            self._down_bytes = 0
            self._changed.notify_all()
            return encode_reply(self.name, frames, self._end)

    async def listen_while(self, patience: float, gone: Awaitable[object]) -> bytes:
        """Listen, as long as somebody is there to hear the answer.

        :param gone: ends when nobody is: what was in the answer is lost then, so the link is given up
        """
        listening = asyncio.ensure_future(self.listen(patience))
        watching = asyncio.ensure_future(gone)
        try:
            await asyncio.wait([listening, watching], return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                await self.cut_off("the worker hung up")
            return await listening
        finally:
            listening.cancel()
            watching.cancel()
            await asyncio.gather(listening, watching, return_exceptions=True)

    async def cut_off(self, reason: str, code: int = CloseCode.CUT) -> None:
        """End it from this side of the link, as if the network had.

        :param code: what a request that waits is told
        """
        async with self._changed:
            self._cut = True
            self._end = self._end or End(code, reason)
            self._changed.notify_all()


class Polls:
    """The links by long polling of one gateway process."""

    def __init__(self, tag: str) -> None:
        """:param tag: the gateway's, with which the names of its links begin"""
        self.tag = tag
        self.opened: Callable[[], object] = lambda: None
        """Called when there is a new one."""
        self._connections: dict[str, PollConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Whether there are any, or were lately."""
        return bool(self._connections)

    def open(
        self, worker_id: UUID, serve: Callable[[PollConnection], Awaitable[None]], *, address: str = ""
    ) -> PollConnection:
        """Begin a connection.

        :param serve: drives it to its end
        :param address: where the request comes from
        """
        connection = PollConnection(self.tag + uuid4().hex[TAG_LENGTH:], worker_id, address)
        self._connections[connection.name] = connection
        self.opened()
        task = asyncio.create_task(self._drive(connection, serve), name=f"long polling of worker {worker_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return connection

    def get(self, name: str, worker_id: UUID) -> PollConnection | None:
        """Give the connection of this worker with this name."""
        connection = self._connections.get(name)
        return connection if connection is not None and connection.worker_id == worker_id else None

    async def stop(self) -> None:
        """Wait a moment for connections whose links were closed to end, and end the others."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_PATIENCE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _drive(self, connection: PollConnection, serve: Callable[[PollConnection], Awaitable[None]]) -> None:
        try:
            await serve(connection)
        # There is no request that could tell of it.
        except Exception:
            log.exception("The link by long polling of worker %s failed", connection.worker_id)
        finally:
            await connection.close(CloseCode.UNREADY, "the gateway failed; try again")
            asyncio.get_running_loop().call_later(REMEMBERED, self._connections.pop, connection.name, None)
