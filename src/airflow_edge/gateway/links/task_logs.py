"""A worker's logs on their way into the store, beside its reports so that neither waits for the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from airflow_edge.gateway.database.calls import persist
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import LogChunk, LogEnd
from airflow_edge.rules.model import LogProgress

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
        self._ends: asyncio.Queue[tuple[int, LogEnd]] = asyncio.Queue(MOST_WAITING)

    async def put_chunk(self, chunk: LogChunk) -> None:
        """Add a piece, as soon as there is room."""
        await self._waiting.put((0, chunk))

    async def put_end(self, seq: int, end: LogEnd) -> None:
        """Add the end of a log, as soon as there is room."""
        await self._waiting.put((seq, end))

    async def run(
        self,
        acknowledge: Callable[[AssignmentKey, int], None],
        finished: Callable[[int, AssignmentKey, int, bool], None],
    ) -> None:
        """Store logs until cancelled.

        Nobody wants the log of a job that is not known: it is acknowledged, so that the site can delete it.

        :param acknowledge: is told up to which offset a log is stored
        :param finished: is told of each end: its number, the job, the offset, and whether the log is complete
        """
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._keep_pieces(acknowledge))
            loops.create_task(self._check_ends(finished))

    async def _keep_pieces(self, acknowledge: Callable[[AssignmentKey, int], None]) -> None:
        while True:
            seq, message = await self._waiting.get()
            if isinstance(message, LogChunk):
                progress = await persist(lambda chunk=message: self._append(chunk))  # type: ignore[misc]
                offset = message.offset + message.size if progress is None else progress.offset
                acknowledge(message.key, offset)
            else:
                # All of its pieces are stored; to check a long log takes seconds, which other logs need not wait for.
                await self._ends.put((seq, message))

    async def _check_ends(self, finished: Callable[[int, AssignmentKey, int, bool], None]) -> None:
        while True:
            seq, end = await self._ends.get()
            progress = await persist(lambda end=end: self._finish(end))  # type: ignore[misc]
            offset, complete = (end.size, True) if progress is None else (progress.offset, progress.complete)
            finished(seq, end.key, offset, complete)
