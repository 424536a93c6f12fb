"""A worker's logs on their way into the store, beside its reports so that neither waits for the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from airflow_edge.dispatch.model import LogProgress
from airflow_edge.gateway.slots import Key
from airflow_edge.gateway.store_calls import persist
from airflow_edge.protocol.messages import LogChunk, LogEnd

MOST_WAITING = 32
"""Pieces of at most `2 * MAX_LOG_CHUNK_BYTES` that wait; when there are more, the link is not read any further."""


class LogLane:
    """The logs of one link, in the order in which their pieces came."""

    def __init__(
        self,
        append: Callable[[LogChunk], Awaitable[LogProgress | None]],
        finish: Callable[[LogEnd], Awaitable[LogProgress | None]],
    ) -> None:
        """Set it up; `run` does the work. Both functions give None where the job is not, or no more, known."""
        self._append = append
        self._finish = finish
        self._waiting: asyncio.Queue[tuple[int, LogChunk | LogEnd]] = asyncio.Queue(MOST_WAITING)

    async def put_chunk(self, chunk: LogChunk) -> None:
        """Add a piece, as soon as there is room."""
        await self._waiting.put((0, chunk))

    async def put_end(self, seq: int, end: LogEnd) -> None:
        """Add the end of a log, as soon as there is room."""
        await self._waiting.put((seq, end))

    async def run(
        self, acknowledge: Callable[[Key, int], None], finished: Callable[[int, Key, int, bool], None]
    ) -> None:
        """Store logs until cancelled.

        Nobody wants the log of a job that is not known: it is acknowledged, so that the site can delete it.

        :param acknowledge: is told up to which offset a log is stored
        :param finished: is told of each end: its number, the job, the offset, and whether the log is complete
        """
        while True:
            seq, message = await self._waiting.get()
            key = Key(message.job_id, message.assignment)
            if isinstance(message, LogChunk):
                progress = await persist(lambda chunk=message: self._append(chunk))  # type: ignore[misc]
                acknowledge(key, message.offset + message.size if progress is None else progress.offset)
            else:
                progress = await persist(lambda end=message: self._finish(end))  # type: ignore[misc]
                if progress is None:
                    finished(seq, key, message.size, True)
                else:
                    finished(seq, key, progress.offset, progress.complete)
