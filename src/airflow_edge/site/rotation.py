"""The rotation of a process's own log: it begins a new file at a size, and the older ones are numbered.

Only the process itself can do that, since nothing that it writes is to be lost: its open descriptors move on to the new
file, stdout and stderr too where they go to it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Rotation:
    """A log file and its older ones, `<name>.1` the youngest of them."""

    def __init__(self, path: Path, *, max_size: int, backups: int) -> None:
        """:param max_size: bytes after which a new file is begun"""
        self._path = path
        self._max_size = max_size
        # Without one, what was written last would be gone with the next file.
        self._backups = max(1, backups)

    def open(self) -> int:
        """Give a descriptor to append to it with."""
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def rotate(self, descriptor: int) -> None:
        """Begin a new file if that of this descriptor is long enough; on a full disk go on with it."""
        with contextlib.suppress(OSError):
            here = os.fstat(descriptor)
            # Another process, which ends while this one begins, may have moved the file.
            in_place = self._is_in_place(here)
            if in_place and here.st_size <= self._max_size:
                return
            if in_place:
                self._shift()
            fresh = self.open()
            for output in {1, 2, descriptor}:
                with contextlib.suppress(OSError):
                    if os.path.samestat(os.fstat(output), here):
                        os.dup2(fresh, output, inheritable=output <= 2)
            os.close(fresh)

    def _is_in_place(self, file: os.stat_result) -> bool:
        try:
            return os.path.samestat(self._path.stat(), file)
        except FileNotFoundError:
            return False

    def _shift(self) -> None:
        for number in range(self._backups - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._older(number).replace(self._older(number + 1))
        self._path.replace(self._older(1))

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
