"""Ships the logs of jobs to the centre while they grow: pieces by offset, resumed wherever the centre says it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from airflow_edge.agent.task_logs.file import LogFile
from airflow_edge.agent.task_logs.inotify import Watch
from airflow_edge.agent.task_logs.pace import Bucket, Window
from airflow_edge.agent.task_logs.stream import Piece, Stream, cut_notice, next_segment
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import SiteTerms
from airflow_edge.protocol.logs import logdata
from airflow_edge.protocol.messages import MAX_LOG_CHUNK_BYTES, LogAck, LogChunk, LogEnd

log = logging.getLogger(__name__)

BATCHING = 0.4
"""Seconds that pass between a change and the look at it: what is written in that time goes as one piece."""
STALLED_AFTER = 15.0
"""Seconds without an answer, on a standing link, after which the centre is asked how far it is."""
GIVEN_UP_AFTER = 24 * 3600.0
"""Seconds of silence on a standing link after which an ended job's log is dropped."""
MOST_HASHED = 2
"""Ended logs that are read once more at a time: a slow disk has other things to do."""
MOST_ENDS = 10
"""How often a log may differ from what was said at its end before it is dropped: something goes on changing it."""


class _Sent(NamedTuple):
    end: int
    """Offset after it."""
    size: int
    """On the wire."""
    at: float


@dataclass(slots=True, kw_only=True)
class _Log:
    key: AssignmentKey
    file: LogFile
    stream: Stream
    terms: SiteTerms | None
    heard: float
    """When the centre last said something about it, or the link came up."""
    last_sent: float = 0.0
    under_way: deque[_Sent] = field(default_factory=deque)
    ending: bool = False
    """Whether it is read once more, to say how it ends."""
    refused_ends: int = 0
    full: bool = False
    """The centre wants no more of it, though its task goes on."""
    error: str = ""
    """Why it cannot be looked at now."""


class LogShipper:
    """The logs of all jobs. The link asks for the next chunk when nothing more urgent is to be sent.

    Nothing is kept in memory: a piece is read when it can be sent.
    """

    def __init__(
        self,
        *,
        send: Callable[[LogEnd], None],
        more: Callable[[], None],
        done: Callable[[AssignmentKey], None],
        bandwidth: float | None = None,
        batching: float = BATCHING,
        inotify: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param send: sends a numbered message
        :param more: called when a chunk may be waiting
        :param done: called when the centre has a log completely, or it was given up
        :param bandwidth: bytes a second, compressed, that the logs may take; None for no limit
        """
        self._send = send
        self._more = more
        self._done = done
        self._now = now
        self._batching = batching
        self._logs: dict[AssignmentKey, _Log] = {}
        self._linked = False
        self._dictionary = logdata.NO_DICTIONARY
        self._watch = Watch(inotify=inotify)
        self._window = Window()
        self._bucket = Bucket(bandwidth)
        self._hashing = asyncio.Semaphore(MOST_HASHED)
        self.answers = 0
        """How often the centre has said how far it is with a log: while that grows, logs get there."""

    def follow(self, key: AssignmentKey, path: Path, terms: SiteTerms | None = None, *, fresh: bool) -> None:
        """Ship this log from now on.

        :param terms: how much of it the machine's owner lets leave; None for all
        :param fresh: the job is new; otherwise the centre may have some of its log
        """
        if key not in self._logs:
            file = LogFile(path)
            stream = Stream(file.load(), fresh=fresh, most=terms.max_log if terms else None)
            self._logs[key] = _Log(key=key, file=file, stream=stream, terms=terms, heard=self._now())
            self._watch.add(path.parent)
        self._watch.poke()

    def close(self, key: AssignmentKey) -> None:
        """This log will not grow any more."""
        if entry := self._logs.get(key):
            entry.stream.closed = True
            entry.heard = self._now()
            if entry.full:
                self._drop(entry)
        self._watch.poke()

    def linked(self, dictionaries: Collection[int]) -> None:
        """A link came up: whatever was on the way over the last one may have arrived or not.

        :param dictionaries: those that the centre knows
        """
        self._linked = True
        self._dictionary = logdata.best(dictionaries)
        self._window = Window()
        for entry in self._logs.values():
            if entry.stream.sent or entry.stream.under_way:
                self._ask(entry)
            entry.heard = self._now()
        self._watch.poke()

    def acknowledged(self, ack: LogAck) -> None:
        """The centre said how far it is."""
        entry = self._logs.get(ack.key)
        if entry is None:
            return
        now = entry.heard = self._now()
        self.answers += 1
        if ack.complete:
            if entry.stream.closed:
                self._drop(entry)
            else:
                entry.full = True
                entry.under_way.clear()
                self._more()
            return
        while entry.under_way and entry.under_way[0].end <= ack.offset:
            sent = entry.under_way.popleft()
            self._window.answered(sent.size, sent.at, now)
        if entry.stream.end_sent:
            entry.refused_ends += 1
        entry.stream.answered(ack.offset)
        if entry.stream.sent == ack.offset:
            entry.under_way.clear()
        if entry.stream.damaged or entry.stream.can_end or entry.refused_ends > MOST_ENDS:
            self._watch.poke()
        self._more()

    def next_chunk(self) -> LogChunk | None:
        """Give the next piece to send. Jobs take turns."""
        now = self._now()
        sent = [sent.size for entry in self._logs.values() for sent in entry.under_way]
        if not self._window.room(sum(sent), len(sent)):
            return None
        if wait := self._bucket.wait(now):
            asyncio.get_running_loop().call_later(wait, self._more)
            return None
        for entry in self._logs.values():
            piece = None if entry.full else entry.stream.next(MAX_LOG_CHUNK_BYTES)
            chunk = self._chunk(entry, piece) if piece else None
            if chunk is None:
                continue
            end, size = chunk.offset + chunk.size, len(chunk.data)
            entry.stream.sent_up_to(end)
            self._bucket.take(size)
            entry.under_way.append(_Sent(end, size, now))
            entry.last_sent = now
            self._logs[entry.key] = self._logs.pop(entry.key)
            return chunk
        return None

    async def run(self) -> None:
        """Look at the files when they change, and now and then."""
        self._watch.start()
        try:
            async with asyncio.TaskGroup() as ends:
                while True:
                    await self._watch.wait()
                    # Changes go on to be noted meanwhile; the look comes after them.
                    await asyncio.sleep(self._batching)
                    for entry in list(self._logs.values()):
                        self._look_after(entry, ends)
        finally:
            self._watch.close()
            for entry in self._logs.values():
                entry.file.close()

    def _look_after(self, entry: _Log, ends: asyncio.TaskGroup) -> None:
        """Do for a log what is to be done; what the machine does not let us do now is done at one of the next looks."""
        if entry.full:
            return
        try:
            self._look(entry)
            if self._linked and self._tend(entry):
                entry.ending = True
                ends.create_task(self._end(entry))
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this log only
            self._failed(entry, error)
        else:
            entry.error = ""
        self._more()

    def _look(self, entry: _Log) -> None:
        stream = entry.stream
        size, identity, damage = entry.file.look(stream.segment, stream.seen_of_file)
        if damage is not None:
            stream.damage(damage)
        elif not stream.damaged:
            stream.looked(size)
            segment = stream.segment
            if identity != segment.file:
                stream.see(identity)
            if stream.cut_due and (terms := entry.terms) and terms.max_log is not None:
                stream.cut(cut_notice(terms.policy, terms.max_log, datetime.now(UTC).isoformat()))
            if stream.segment is not segment:
                entry.file.save(stream.segment)

    def _tend(self, entry: _Log) -> bool:
        """Keep the log moving; say whether all of it is at the centre, so that its end is to be said."""
        stream, now = entry.stream, self._now()
        silence = now - entry.heard
        if stream.closed and (silence > GIVEN_UP_AFTER or entry.refused_ends > MOST_ENDS):
            log.warning("the centre does not take the log of job %s; it is given up", entry.key)
            self._drop(entry)
            return False
        if stream.under_way and now - max(entry.heard, entry.last_sent) > STALLED_AFTER:
            self._ask(entry)
        if damage := stream.segment_due():
            log.warning("job %s: %s", entry.key, damage.value)
            stream.begin(next_segment(stream, damage, datetime.now(UTC).isoformat()))
            entry.file.save(stream.segment)
            self._look(entry)
        if not stream.can_end or entry.ending:
            return False
        if entry.file.switch():
            # The deleted file is at the centre; the other one is the next segment.
            self._look(entry)
            self._watch.poke()
            return False
        return True

    async def _end(self, entry: _Log) -> None:
        """Say how a log ends. It is read once more for that, while the other logs go on."""
        stream, segment, size = entry.stream, entry.stream.segment, entry.stream.size
        try:
            async with self._hashing:
                digest = await asyncio.to_thread(entry.file.digest, segment, size)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this log only
            self._failed(entry, error)
            return
        finally:
            entry.ending = False
        if entry.key not in self._logs or not stream.can_end or stream.segment is not segment:
            self._watch.poke()
            return
        self._send(LogEnd(**entry.key._asdict(), start=segment.start, size=size, sha256=digest))
        stream.end_sent = True
        entry.last_sent = self._now()

    def _failed(self, entry: _Log, error: Exception) -> None:
        words = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        if entry.error != words:
            log.warning("the log of job %s cannot be looked at now: %s; trying again", entry.key, words)
        entry.error = words

    def _ask(self, entry: _Log) -> None:
        entry.stream.ask()
        entry.under_way.clear()

    def _drop(self, entry: _Log) -> None:
        try:
            self._watch.remove(entry.file.path.parent)
            entry.file.close()
        except Exception as error:  # noqa: BLE001 - it is of no use any more
            log.warning("the log of job %s cannot be closed: %s", entry.key, error)
        del self._logs[entry.key]
        self._done(entry.key)

    def _chunk(self, entry: _Log, piece: Piece) -> LogChunk | None:
        """Read and pack as much of a piece as may be one on the wire."""
        if not piece.size:
            return self._packed(entry, piece.offset, b"")
        data = piece.marker or entry.file.read(piece.in_file, piece.size)
        while data:
            chunk = self._packed(entry, piece.offset, data)
            if len(chunk.data) <= self._window.piece:
                return chunk
            data = data[: len(data) * self._window.piece // (len(chunk.data) + 1024)]
        # It was truncated since the last look, or cannot be read.
        self._watch.poke()
        return None

    def _packed(self, entry: _Log, offset: int, data: bytes) -> LogChunk:
        return logdata.pack(entry.key.job_id, entry.key.assignment, offset, data, self._dictionary)
