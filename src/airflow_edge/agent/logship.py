"""Ships the logs of jobs to the centre while they grow: chunks by offset, resumed wherever the centre says it is."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_edge.agent.events import Key
from airflow_edge.protocol.messages import MAX_LOG_CHUNK_BYTES, LogAck, LogChunk, LogEnd

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

log = logging.getLogger(__name__)

POLL_INTERVAL = 0.25
"""Seconds between two looks at the growing logs."""
WINDOW = 1024 * 1024
"""Unacknowledged bytes a job may have on the way."""
LEVEL = 3
STALLED_AFTER = 15.0
"""Seconds without an acknowledgement, on a standing link, after which a log is sent again from where the centre is."""
GIVEN_UP_AFTER = 24 * 3600.0
"""Seconds of silence on a standing link after which an ended job's log is dropped."""


@dataclass(slots=True, kw_only=True)
class _Log:
    key: Key
    path: Path
    size: int = 0
    """Bytes in the file as of the last look."""
    sent: int = 0
    acknowledged: int = 0
    closed: bool = False
    """It will not grow any more."""
    end_sent: bool = False
    heard: float = 0.0
    """When the centre last said something about it (or the link came up)."""
    last_sent: float = 0.0


class LogShipper:
    """The logs of all jobs. The link asks for the next chunk when nothing more urgent is to be sent."""

    def __init__(
        self,
        *,
        send: Callable[[LogEnd], None],
        more: Callable[[], None],
        done: Callable[[Key], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param send: sends a numbered message

        :param more: called when a chunk may be waiting
        :param done: called when the centre has a log completely, or it was given up
        """
        self._send = send
        self._more = more
        self._done = done
        self._now = now
        self._logs: dict[Key, _Log] = {}
        self._linked = False
        self._look = asyncio.Event()

    def follow(self, key: Key, path: Path) -> None:
        """Ship this log from now on."""
        self._logs.setdefault(key, _Log(key=key, path=path, heard=self._now()))
        self._look.set()

    def close(self, key: Key) -> None:
        """This log will not grow any more."""
        if entry := self._logs.get(key):
            entry.closed = True
            entry.heard = self._now()
        self._look.set()

    def linked(self, linked: bool) -> None:
        """The link came up, or broke: whatever was on the way then is lost."""
        self._linked = linked
        if linked:
            for entry in self._logs.values():
                _rewind(entry)
                entry.heard = self._now()
            self._look.set()

    def acknowledged(self, ack: LogAck) -> None:
        """The centre said how far it is."""
        entry = self._logs.get(Key(ack.job_id, ack.assignment))
        if entry is None:
            return
        entry.heard = self._now()
        if ack.complete:
            del self._logs[entry.key]
            self._done(entry.key)
            return
        behind = ack.offset < entry.acknowledged
        entry.acknowledged = ack.offset
        if behind or ack.offset > entry.sent:
            # The centre has lost some of it, or had more than we knew after a restart.
            _rewind(entry)
        self._look.set()

    def next_chunk(self) -> LogChunk | None:
        """Give the next piece to send. Jobs take turns."""
        for entry in self._logs.values():
            size = min(entry.size - entry.sent, entry.acknowledged + WINDOW - entry.sent, MAX_LOG_CHUNK_BYTES)
            if size > 0 and (data := _read(entry.path, entry.sent, size)):
                chunk = LogChunk(
                    job_id=entry.key.job_id,
                    assignment=entry.key.assignment,
                    offset=entry.sent,
                    size=len(data),
                    crc32=zlib.crc32(data),
                    data=zstd.compress(data, LEVEL),
                )
                entry.sent += len(data)
                entry.last_sent = self._now()
                self._logs[entry.key] = self._logs.pop(entry.key)
                return chunk
        return None

    async def run(self) -> None:
        """Look at the files every now and then, and at once when something has happened."""
        while True:
            self._look.clear()
            for entry in list(self._logs.values()):
                await self._tend(entry)
            if not self._look.is_set():
                pause = asyncio.ensure_future(self._look.wait())
                await asyncio.wait({pause}, timeout=POLL_INTERVAL if self._logs else None)
                pause.cancel()

    async def _tend(self, entry: _Log) -> None:
        entry.size = max(entry.size, _size(entry.path))
        if not self._linked:
            return
        now = self._now()
        silence = now - entry.heard
        waiting = entry.sent > entry.acknowledged or entry.end_sent
        if entry.closed and silence > GIVEN_UP_AFTER:
            log.warning("the centre does not take the log of job %s; it is given up", entry.key)
            del self._logs[entry.key]
            self._done(entry.key)
        elif waiting and now - max(entry.heard, entry.last_sent) > STALLED_AFTER:
            _rewind(entry)
        elif entry.closed and entry.sent >= entry.size and not entry.end_sent:
            entry.end_sent = True
            entry.last_sent = now
            digest, size = await asyncio.to_thread(_digest, entry.path)
            self._send(LogEnd(job_id=entry.key.job_id, assignment=entry.key.assignment, size=size, sha256=digest))
        if entry.sent < entry.size:
            self._more()


def _rewind(entry: _Log) -> None:
    entry.sent = entry.acknowledged
    entry.end_sent = False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as source:
            source.seek(offset)
            return source.read(size) or b""
    except OSError as error:
        log.warning("the log %s cannot be read: %s", path, error)
        return b""


def _digest(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb", buffering=0) as source:
            while data := source.read(1024 * 1024):
                digest.update(data)
                size += len(data)
    except FileNotFoundError:
        pass
    return digest.hexdigest(), size
