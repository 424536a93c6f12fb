"""What a link needs of the connection under it, and how a WebSocket gives it; `polling` has the other way."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.frames import MAX_SITE_FRAME_BYTES, SiteFrame, decode_site_frame
from airflow_edge.protocol.problems import CloseCode

MOST_REASON_BYTES = 123
"""A close frame has no room for more (RFC 6455, 5.5)."""
CLOSE_PATIENCE = 2.0
_MOST_UNREAD: Final = 2
"""Frames that are taken in before they are asked for, where the server takes in more than one."""


class ConnectionClosedError(Exception):
    """The other side has closed the connection."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the connection was closed with code {code}")
        self.code = code


class Connection(Protocol):
    """Frames in both directions, in order, until it is closed."""

    @property
    def transport(self) -> str:
        """What it is, for people."""

    @property
    def address(self) -> str:
        """Where it comes from, as far as can be seen here, for people."""

    async def receive(self, patience: float | None) -> SiteFrame:
        """Wait until the site's next frame is here.

        :param patience: seconds; None: for ever
        :raises TimeoutError: none came.
        :raises RemoteProtocolError: something else came.
        :raises ConnectionClosedError: the connection is closed.
        """

    async def send(self, frame: bytes) -> None:
        """Send an encoded frame; waits while the site does not read.

        :raises ConnectionClosedError: the connection is closed.
        """

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, as far as the other side lets us."""


class WebSocketConnection:
    """An accepted WebSocket."""

    transport = "WebSocket"

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.address = websocket.client.host if websocket.client else ""

    async def receive(self, patience: float | None) -> SiteFrame:
        """Wait until the site's next frame is here; see `Connection`."""
        async with asyncio.timeout(patience):
            event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise ConnectionClosedError(event.get("code", CloseCode.NORMAL))
        data = event.get("bytes")
        if data is None:
            raise RemoteProtocolError("a text message came where only binary ones are spoken")
        return decode_site_frame(data)

    async def send(self, frame: bytes) -> None:
        """Send an encoded frame; see `Connection`."""
        try:
            await self._websocket.send_bytes(frame)
        except WebSocketDisconnect as error:
            raise ConnectionClosedError(error.code) from error

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, as far as the other side lets us."""
        short = reason.encode()[:MOST_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(CLOSE_PATIENCE):
                await self._websocket.close(code, short)
        # It may be closed already, or be too clogged to take the word; either way it ends here.
        except (RuntimeError, WebSocketDisconnect, TimeoutError, OSError):
            return


def bound_frames(websocket: WebSocket) -> None:
    """Have the server refuse a frame as soon as it says that it is too long, and not when all of it is in memory.

    An application cannot ask for that: the one limit is the server's own (uvicorn: 16 MiB, for all WebSockets), and
    the server is Airflow's. So its protocol object, whose method receives for us, is told; one that does not know such
    limits is left alone, and its frames are refused when they are here.
    """
    server = getattr(getattr(websocket, "_receive", None), "__self__", None)
    for protocol in (server, getattr(server, "conn", None)):
        for name, most in (
            # websockets, without I/O and with its own
            ("max_message_size", MAX_SITE_FRAME_BYTES),
            ("max_size", MAX_SITE_FRAME_BYTES),
            ("max_queue", _MOST_UNREAD),
        ):
            if isinstance(getattr(protocol, name, None), int):
                setattr(protocol, name, most)
