"""What waits to be sent down a link, bounded so that a worker that does not read costs no more than that."""

from __future__ import annotations

import asyncio
from collections import deque

MOST_FRAMES = 5_000
MOST_BYTES = 32 * 1024 * 1024


class Outbox:
    """A queue of frames for one sender."""

    def __init__(self, most_frames: int = MOST_FRAMES, most_bytes: int = MOST_BYTES) -> None:
        self._most_frames = most_frames
        self._most_bytes = most_bytes
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()

    def put(self, frame: bytes) -> bool:
        """Add a frame; False if there is no room for it."""
        if len(self._frames) >= self._most_frames or self._bytes + len(frame) > self._most_bytes:
            return False
        self._frames.append(frame)
        self._bytes += len(frame)
        self._filled.set()
        return True

    async def get(self) -> bytes:
        """Take the oldest frame, as soon as there is one."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame

    @property
    def empty(self) -> bool:
        """Whether everything was taken."""
        return not self._frames
