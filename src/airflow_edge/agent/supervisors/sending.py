"""What the agent sends to the runtime, in order and as soon as it is taken; descriptors go with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque


class Outbox:
    """Writes to a Unix socket. What cannot be sent any more is dropped: whoever reads from it sees that it is gone."""

    def __init__(self, connection: socket.socket) -> None:
        """:param connection: one that does not block; it stays the caller's"""
        # Another descriptor: asyncio keeps that of its transport to itself.
        self._connection = connection.dup()
        self._connection.setblocking(False)
        self._waiting: deque[tuple[bytearray, list[int]]] = deque()
        self._watched = False

    def send(self, frame: bytes, descriptor: int | None = None) -> None:
        """Send a frame, with a descriptor that is closed here then."""
        self._waiting.append((bytearray(frame), [] if descriptor is None else [descriptor]))
        if not self._watched:
            self._flush()

    def close(self) -> None:
        """Drop what was not sent."""
        self._watch(wanted=False)
        for _, descriptors in self._waiting:
            _close(descriptors)
        self._waiting.clear()
        self._connection.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                frame, descriptors = self._waiting[0]
                # They go with the first byte, so that they are there when the frame is.
                del frame[: socket.send_fds(self._connection, [frame], descriptors)]
                _close(descriptors)
                if not frame:
                    self._waiting.popleft()
        except (BlockingIOError, InterruptedError):
            self._watch(wanted=True)
        except OSError:
            self.close()
        else:
            self._watch(wanted=False)

    def _watch(self, *, wanted: bool) -> None:
        if wanted == self._watched:
            return
        self._watched = wanted
        loop = asyncio.get_running_loop()
        if wanted:
            loop.add_writer(self._connection, self._flush)
        else:
            loop.remove_writer(self._connection)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptors.pop())
