"""Frames over a WebSocket."""

from __future__ import annotations

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect

from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.messages import CentreFrame, SiteFrame, decode_site_frame, encode

NORMAL = 1000
PROTOCOL_ERROR = 4400
REVOKED = 4403
SILENT = 4408
REPLACED = 4409
UNREADY = 4503

MOST_REASON_BYTES = 123
"""A close frame has no room for more (RFC 6455, 5.5)."""
CLOSE_PATIENCE = 2.0


async def receive_frame(websocket: WebSocket, patience: float) -> SiteFrame:
    """Wait for the site's next frame.

    :param patience: seconds
    :raises TimeoutError: none came.
    :raises RemoteProtocolError: something else came.
    :raises WebSocketDisconnect: the connection is closed.
    """
    async with asyncio.timeout(patience):
        event = await websocket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", NORMAL))
    data = event.get("bytes")
    if data is None:
        raise RemoteProtocolError("a text message came where only binary ones are spoken")
    return decode_site_frame(data)


async def send_frame(websocket: WebSocket, frame: CentreFrame) -> None:
    """Send one frame past any queue."""
    await websocket.send_bytes(encode(frame))


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close the connection, as far as the other side lets us."""
    short = reason.encode()[:MOST_REASON_BYTES].decode(errors="ignore")
    try:
        async with asyncio.timeout(CLOSE_PATIENCE):
            await websocket.close(code, short)
    # It may be closed already, or be too clogged to take the word; either way it ends here.
    except (RuntimeError, WebSocketDisconnect, TimeoutError, OSError):
        return
