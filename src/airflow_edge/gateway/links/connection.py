"""What a link needs of the connection under it, be that a WebSocket or long polling."""

from __future__ import annotations

from typing import Protocol

from airflow_edge.protocol.messages import SiteFrame


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

    async def receive(self, patience: float) -> SiteFrame:
        """Wait until the site's next frame is here.

        :param patience: seconds
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
