"""What carries the link's frames: a WebSocket, or long polling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class LinkClosedError(Exception):
    """The link has ended; code and reason are those with which a WebSocket is closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"code {code}: {reason}" if reason else f"code {code}")
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """Frames in both directions, in order. One task may send while another receives."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def round_trip(self) -> float | None:
        """Seconds that a word to the centre and back last took; None while that is not known."""

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send encoded frames.

        :raises LinkClosedError: the link has ended.
        :raises AgentError: the centre cannot be reached, or does not want us.
        """

    async def receive(self) -> bytes:
        """Wait for the next frame; raises what `send` raises."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Let go of it."""
