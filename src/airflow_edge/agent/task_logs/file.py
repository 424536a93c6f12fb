"""The file that a job's log is written to, which the task may delete, truncate or replace as it likes."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
from pathlib import Path

import msgspec

from airflow_edge.agent.task_logs.stream import Damage, Segment
from airflow_edge.site.files import DamagedError, read

log = logging.getLogger(__name__)

SEGMENT_FILE = "log.json"
"""In the job's folder: which segment of the stream the log file is."""

_BLOCK = 1024 * 1024
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM})
"""What the attempt to open it says when a task has removed it, or has put something else in its place."""


class LogFile:
    """A log file, kept open: so a supervisor that goes on writing to a deleted one is still heard."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._gone = False

    def load(self) -> Segment:
        """Give the segment that the last agent has left; the first one if there is none that can be read."""
        try:
            return read(self._note, Segment) or Segment()
        except (OSError, DamagedError) as error:
            log.warning("%s cannot be read: %s; the log is sent anew where it does not fit", self._note, error)
            return Segment()

    def save(self, segment: Segment) -> None:
        """Leave the segment to the next agent."""
        fresh = self._note.with_name(f".{SEGMENT_FILE}")
        try:
            fresh.write_bytes(msgspec.json.encode(segment))
            fresh.replace(self._note)
        except OSError as error:
            log.warning("%s cannot be written: %s; make room on the disk of the state folder", self._note, error)

    def look(self, segment: Segment, seen: int) -> tuple[int, tuple[int, int] | None, Damage | None]:
        """Say how long the file is, which one it is, and what has happened to it.

        :param seen: how long it was, or has to be because so much of it was sent
        :raises OSError: it cannot be looked at now, which says nothing about it.
        """
        descriptor = self._descriptor if self._descriptor is not None else self._open()
        if descriptor is None:
            gone = segment.file is not None and not self._gone
            self._gone = self._gone or gone
            return segment.skip, segment.file, Damage.REPLACED if gone else None
        try:
            found = os.fstat(descriptor)
        except OSError:
            # A network file system may want it opened anew.
            self.close()
            raise
        if segment.file is not None and segment.file != self._identity:
            return found.st_size, self._identity, Damage.REPLACED
        if found.st_size < seen:
            return found.st_size, self._identity, Damage.TRUNCATED
        if not self._gone and not self._is_in_place():
            self._gone = True
            return found.st_size, self._identity, Damage.DELETED
        return found.st_size, self._identity, None

    def switch(self) -> bool:
        """Let go of a deleted file for one that is in its place now; say whether there is one."""
        return self._gone and self._open() is not None

    def read(self, offset: int, size: int) -> bytes:
        """Give at most `size` bytes; fewer, or none, where the file ends or cannot be read."""
        if self._descriptor is None:
            return b""
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError as error:
            log.warning("the log %s cannot be read: %s", self.path, error)
            return b""

    def digest(self, segment: Segment, size: int) -> str:
        """Give the SHA-256 (hex) of the segment up to an offset of the stream; it may take a while.

        :raises OSError: the file cannot be read.
        """
        digest = hashlib.sha256(segment.marker)
        offset, end = segment.skip, segment.in_file(size)
        if offset < end:
            if self._descriptor is None:
                raise OSError(errno.EBADF, "it is not open")
            # One of its own: the other one may be let go of meanwhile.
            descriptor = os.dup(self._descriptor)
            try:
                while offset < end and (data := os.pread(descriptor, min(_BLOCK, end - offset), offset)):
                    digest.update(data)
                    offset += len(data)
            finally:
                os.close(descriptor)
        if segment.cut is not None:
            digest.update(segment.notice[: max(size - segment.cut, 0)])
        return digest.hexdigest()

    def close(self) -> None:
        """Let go of it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @property
    def _note(self) -> Path:
        return self.path.with_name(SEGMENT_FILE)

    def _open(self) -> int | None:
        try:
            # A task can put anything in its place; opening a pipe must not wait for somebody to write to it.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return None
        self.close()
        self._descriptor = descriptor
        self._identity = (found.st_dev, found.st_ino)
        self._gone = False
        return descriptor

    def _is_in_place(self) -> bool:
        try:
            found = self.path.lstat()
        except OSError as error:
            if error.errno in _NOT_THERE:
                return False
            raise
        return (found.st_dev, found.st_ino) == self._identity
