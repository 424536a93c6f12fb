"""Files whose writer goes on when the disk is full: what finds no room is dropped, and that is said when there is."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_edge.site.stop import line

Notice = Callable[[int, str], bytes]
"""Makes the line that says how many lines were lost, and why."""


class LossyFile(io.RawIOBase):
    """Appends to a file and never raises. Each write should be whole lines, or one line of several writes."""

    def __init__(self, file: Path | int, notice: Notice) -> None:
        """:param file: a path, which is opened when there is something to write; or a descriptor, which stays open"""
        super().__init__()
        self._path = file if isinstance(file, Path) else None
        self._descriptor = None if isinstance(file, Path) else file
        self._notice = notice
        self._rest = b""
        """The rest of a line of which the beginning was written."""
        self._lost = 0
        self._why = ""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._descriptor

    def write(self, data: Any, /) -> int:
        """Write it, or count it as lost."""
        content = bytes(data)
        if content and not (self._catch_up() and self._begin(content)):
            self._lost += content.count(b"\n") or 1
        return len(content)

    def close(self) -> None:
        """Say what was lost, if that can be said now, and close what was opened here."""
        if not self.closed:
            self._catch_up()
            if self._path is not None and self._descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(self._descriptor)
        super().close()

    def _catch_up(self) -> bool:
        """Write what is owed; False if there is no room for that."""
        self._rest = self._rest[self._put(self._rest) :]
        if self._lost and not self._rest and self._begin(self._notice(self._lost, self._why)):
            self._lost = 0
        return not self._lost and not self._rest

    def _begin(self, content: bytes) -> bool:
        """Write it, or its beginning, so that its rest is owed; False if nothing of it found room."""
        written = self._put(content)
        self._rest = content[written:] if written else b""
        return written > 0

    def _put(self, content: bytes) -> int:
        written = 0
        try:
            while written < len(content):
                written += os.write(self.fileno(), content[written:])
        except OSError as error:
            self._why = error.strerror or str(error)
        return written


def task_log(path: Path) -> LossyFile:
    """Give a task's log, in which each line is a JSON object."""
    return LossyFile(path, _json_notice)


def make_output_lossy() -> None:
    """Have this process, and those forked from it, bear that what they print cannot be written."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw: Any = LossyFile(descriptor, _text_notice)
        stream = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors="backslashreplace", line_buffering=True)
        setattr(sys, name, stream)


def _words(lines: int, why: str) -> str:
    return (
        f"{lines} line{'s' if lines > 1 else ''} of this log could not be written at the site ({why}); "
        "make room on the disk of the worker's state folder ([edge] state_dir)"
    )


def _json_notice(lines: int, why: str) -> bytes:
    return line(_words(lines, why), datetime.now(UTC))


def _text_notice(lines: int, why: str) -> bytes:
    return f"{_words(lines, why)}\n".encode()
