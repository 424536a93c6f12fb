"""The runtime's own log: the file that its stdout and stderr go to, begun anew at a size.

Only the runtime itself can do that: it outlives the agent, and nothing that it writes is to be lost. Supervisors and
tasks write elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class OwnLog:
    """The file and its older ones, `<name>.1` the youngest of them."""

    def __init__(self, path: Path, *, max_size: int, backups: int) -> None:
        """:param max_size: bytes after which a new file is begun"""
        self._path = path
        self._max_size = max_size
        self._backups = max(1, backups)

    def rotate(self) -> None:
        """Begin a new file if this one is long enough; on a full disk go on with it."""
        with contextlib.suppress(OSError):
            # Another runtime, which ends while this one begins, may have moved the file.
            if self._is_ours() and self._path.stat().st_size <= self._max_size:
                return
            if self._is_ours():
                self._shift()
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for output in (1, 2):
                os.dup2(descriptor, output)
            os.close(descriptor)

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(2))
        except FileNotFoundError:
            return False

    def _shift(self) -> None:
        for number in range(self._backups - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._older(number).replace(self._older(number + 1))
        self._path.replace(self._older(1))

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
