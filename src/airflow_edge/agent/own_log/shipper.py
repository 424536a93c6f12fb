"""Sends the worker's own log to the centre: always from a level on, and all that is asked for while it is asked for.

It is read from the files of agent and runtime, so that nothing is held for it while nobody wants it. It may be lost on
the way; the centre sees by the count of records how many were.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path

from airflow_edge.agent.own_log.reader import Follower, tail
from airflow_edge.protocol.logs.worker_log import Record, Source, pack
from airflow_edge.protocol.messages import WantWorkerLog, WorkerLog

log = logging.getLogger(__name__)

POLL_INTERVAL = 0.5
"""Seconds between two looks at the files while somebody wants to know."""
SEND_INTERVAL = 0.25
"""Seconds between two batches: the worker's own log does not crowd out the tasks'."""
BATCH_RECORDS = 500
BATCH_CHARACTERS = 12 * 1024
"""When a batch is long enough; with one more record of any length and script it is below the protocol's limit."""
MOST_WAITING = 5_000
"""Records that wait to be sent; when there are more, the oldest are lost."""


class WorkerLogShipper:
    """The worker's own log on its way. The link asks for the next batch when nothing more urgent is to be sent."""

    def __init__(
        self,
        files: Mapping[Source, Path],
        always: int | None,
        *,
        linked: Callable[[], bool],
        more: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param always: the level from which on everything is sent; None for nothing
        :param linked: whether the centre can be reached
        :param more: called when a batch may be waiting
        """
        self._followers = [Follower(path, source) for source, path in files.items()]
        self._always = always
        self._linked = linked
        self._more = more
        self._now = now
        self._run = secrets.token_hex(8)
        self._request = WantWorkerLog(request="", seconds=0, level=100, lines=0)
        self._until = 0.0
        self._unanswered = ""
        self._answer: tuple[int, str] | None = None
        """The count at which a request's past records end, and the request."""
        self._waiting: deque[Record] = deque()
        self._count = 0
        """Records that were waiting or lost so far."""
        self._next_batch = 0.0
        self._following = False
        self._wanted = asyncio.Event()
        if always is not None:
            self._follow()

    def welcomed(self) -> None:
        """The link stands."""
        self._wanted.set()

    def want(self, message: WantWorkerLog) -> None:
        """The centre wants to see the log."""
        if message.request != self._request.request:
            self._unanswered = message.request
        self._request = message
        self._until = self._now() + message.seconds
        self._wanted.set()

    def next_batch(self) -> WorkerLog | None:
        """Give the next records to send."""
        now = self._now()
        if now < self._next_batch or not (self._waiting or self._answer):
            return None
        self._next_batch = now + SEND_INTERVAL
        first = self._count - len(self._waiting)
        batch: list[Record] = []
        length = 0
        while self._waiting and len(batch) < BATCH_RECORDS and length < BATCH_CHARACTERS:
            batch.append(self._waiting.popleft())
            length += len(batch[-1].text)
        answers = ""
        if self._answer is not None and first + len(batch) >= self._answer[0]:
            answers, self._answer = self._answer[1], None
        # Loaded when there is something to send, which there may never be.
        from airflow_edge.protocol.logs import zstd

        plain = pack(batch)
        return WorkerLog(run=self._run, first=first, size=len(plain), data=zstd.compress(plain), answers=answers)

    async def run(self) -> None:
        """Read the files while somebody wants to know."""
        while True:
            await self._wanted.wait()
            level = self._level()
            if level is None:
                self._following = False
                self._wanted.clear()
                continue
            if self._linked():
                await self._look(level)
                if self._waiting or self._answer:
                    self._more()
            await asyncio.sleep(POLL_INTERVAL)

    def _level(self) -> int | None:
        requested = self._request.level if self._now() < self._until else None
        levels = [level for level in (self._always, requested) if level is not None]
        return min(levels, default=None)

    async def _look(self, level: int) -> None:
        if self._unanswered:
            request = self._request
            # What the tail shows is not to be given once more as news.
            self._take_news(level)
            self._follow()
            self._add(await asyncio.to_thread(self._tails, min(request.lines, MOST_WAITING), request.level))
            self._answer = (self._count, request.request)
            if self._unanswered == request.request:
                self._unanswered = ""
        else:
            if not self._following:
                self._follow()
            self._take_news(level)

    def _follow(self) -> None:
        self._following = True
        for follower in self._followers:
            follower.skip()

    def _take_news(self, level: int) -> None:
        if not self._following:
            return
        news = [follower.read() for follower in self._followers]
        for follower in self._followers:
            self._count += follower.lost
            follower.lost = 0
        self._add([record for record in heapq.merge(*news, key=attrgetter("time")) if record.level >= level])

    def _tails(self, lines: int, level: int) -> list[Record]:
        tails = [tail(follower.path, follower.source, lines, level) for follower in self._followers]
        merged = list(heapq.merge(*tails, key=attrgetter("time")))
        return merged[len(merged) - lines :] if lines < len(merged) else merged

    def _add(self, records: list[Record]) -> None:
        self._waiting.extend(records)
        self._count += len(records)
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
