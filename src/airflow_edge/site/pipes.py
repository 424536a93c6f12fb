"""How a job's secret gets from the agent to the job's supervisor: in a pipe, whose end the runtime hands on unread.

Each task is a copy of the runtime's process: what that one has read, however long ago, a task can find in its memory.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Final

from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.local import StartJob, ToRuntime, decode_for_runtime, split_frames

LONGEST: Final = 4096
"""Bytes of a secret: an empty pipe takes them at once, see PIPE_BUF in pipe(7)."""
_AT_ONCE: Final = 65_536
_MOST_DESCRIPTORS: Final = 64
"""In one read; Linux gives those of one write."""


def filled(secret: str) -> int:
    """Give the end of a pipe from which this can be read, once.

    :raises OSError: no pipe is to be had.
    """
    reader, writer = os.pipe()
    try:
        os.write(writer, secret.encode())
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return reader


def emptied(reader: int) -> str:
    """Read what such a pipe holds, and close it."""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        return pipe.read(LONGEST).decode()


class Inbox:
    """What the agent says to the runtime: orders, and for a job that is to be started the pipe with its secret."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._pipes: list[int | None] = []
        """In the order in which they came; None for one that this process had no descriptor for."""

    def receive(self, connection: socket.socket) -> list[tuple[ToRuntime, int | None]]:
        """Give what has come, in order. The pipes are the caller's to close; of a job's that was lost there is none.

        :raises OSError: nothing can be read; so `ConnectionError`, at the end of the connection.
        :raises RemoteProtocolError: what was sent is no order, or a pipe of it is missing; so `msgspec.MsgspecError`.
        """
        data, descriptors, flags, _ = socket.recv_fds(connection, _AT_ONCE, _MOST_DESCRIPTORS)
        self._pipes += descriptors
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if flags & socket.MSG_CTRUNC:
            # Its place is kept: the next job is not to get this one's secret.
            self._pipes.append(None)
        if not data:
            raise ConnectionResetError("the agent has hung up")
        self._bytes += data
        orders = [decode_for_runtime(frame) for frame in split_frames(self._bytes)]
        if sum(_is_piped(order) for order in orders) > len(self._pipes):
            raise RemoteProtocolError("a job without the secret that it should have")
        return [(order, self._pipes.pop(0) if _is_piped(order) else None) for order in orders]

    def clear(self, others: Iterable[int | None] = ()) -> None:
        """Forget what came of a connection that is gone, and close these pipes, too."""
        self._bytes.clear()
        self._pipes += others
        while self._pipes:
            close(self._pipes.pop())


def _is_piped(order: ToRuntime) -> bool:
    return isinstance(order, StartJob) and order.piped


def close(pipe: int | None) -> None:
    """Close a pipe that nobody has read."""
    if pipe is not None:
        with contextlib.suppress(OSError):
            os.close(pipe)


@contextlib.contextmanager
def closing(pipe: int | None) -> Iterator[None]:
    """Close this process's copy of a pipe afterwards."""
    try:
        yield
    finally:
        close(pipe)
