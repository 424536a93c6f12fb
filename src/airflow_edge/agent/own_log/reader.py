"""Reads for the centre the files of the worker's own log: their ends, and what is added to them, over the beginning of
a new file. What stays at the site is passed over.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import BinaryIO

from airflow_edge.protocol.logs.worker_log import LONGEST_RECORD, Record, Source, continued, read

READ_BYTES = 256 * 1024
"""What is read at once of what was added."""
TAIL_BYTES = 1024 * 1024
"""How far back from its end a file is read."""


class Follower:
    """Gives the records that are added to a log file."""

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self.source: Source = source
        self.lost = 0
        """How many times something was rotated away before it was read."""
        self._file: BinaryIO | None = None
        self._rest = b""
        self._last: Record | None = None

    def skip(self) -> None:
        """Go on from the file's end."""
        self._open(self.path)
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def read(self) -> list[Record]:
        """Give what was added, at most some of it at once."""
        if self._file is None:
            self._open(self.path)
        if self._file is None:
            return []
        data = self._file.read(READ_BYTES)
        if not data:
            self._follow_rotation(self._file)
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > 4 * LONGEST_RECORD:
            lines.append(self._rest)
            self._rest = b""
        found = records(lines, self.source, self._last)
        self._last = found[-1] if found else self._last
        return [record for record in found if not record.stays]

    def _follow_rotation(self, file: BinaryIO) -> None:
        facts = os.fstat(file.fileno())
        if facts.st_size < file.tell():
            # Somebody has truncated it.
            file.seek(0)
            return
        files = generations(self.path)
        inodes = [_inode(path) for path in files]
        if facts.st_ino not in inodes:
            if files:
                self.lost += 1
                self._open(files[0])
        elif (newer := inodes.index(facts.st_ino) + 1) < len(files):
            self._open(files[newer])

    def _open(self, path: Path) -> None:
        if self._file is not None:
            self._file.close()
        self._rest = b""
        self._last = None
        try:
            self._file = path.open("rb", buffering=0)
        except OSError:
            self._file = None


def tail(path: Path, source: Source, count: int, level: int) -> list[Record]:
    """Give the last records of at least this level, in the order in which they were written."""
    found: deque[Record] = deque(maxlen=count)
    last: Record | None = None
    for file in generations(path)[-2:]:
        try:
            with file.open("rb") as content:
                start = max(0, os.fstat(content.fileno()).st_size - TAIL_BYTES)
                content.seek(start)
                lines = content.read(TAIL_BYTES).split(b"\n")
        except OSError:
            continue
        # The first line of a part is half a line.
        there = records(lines[bool(start) :], source, last)
        last = there[-1] if there else last
        found.extend(record for record in there if record.level >= level and not record.stays)
    return list(found)


def records(lines: list[bytes], source: Source, last: Record | None = None) -> list[Record]:
    """Make records of whole lines; `last` is the one before them."""
    found: list[Record] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r")
        if record := read(line, source):
            found.append(record)
        elif line and found:
            found[-1] = continued(found[-1], line)
        elif line:
            # The rest of a record that was given already, or what was written before any.
            time, level = (last.time, last.level) if last else (0.0, 20)
            found.append(Record(time, level, source, line[:LONGEST_RECORD]))
    return found


def generations(path: Path) -> list[Path]:
    """Give a log's files that are there, oldest first."""
    numbered = [
        (int(number), found)
        for found in path.parent.glob(f"{path.name}.*")
        if (number := found.name.removeprefix(f"{path.name}.")).isdecimal()
    ]
    older = [found for _, found in sorted(numbered, reverse=True)]
    return [*older, path] if path.exists() else older


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
