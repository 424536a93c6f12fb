"""The agent's own log file: it begins anew at a size, and the older ones are numbered."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from logging import handlers
from pathlib import Path

from airflow_edge.agent.errors import ConfigError
from airflow_edge.protocol.worker_log import Formatter


class RotatingFile(handlers.RotatingFileHandler):
    """A log file that begins anew at a size. Where stdout or stderr go to that file, they go along to the new one."""

    def __init__(self, path: Path, *, max_size: int, backups: int) -> None:
        """:raises ConfigError: the file cannot be written."""
        try:
            # Without a number to keep, the library would let the file grow for ever.
            super().__init__(
                path, maxBytes=max_size, backupCount=max(1, backups), encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            raise ConfigError(
                f"the log file {path} cannot be written ({error.strerror}); give it to this user"
            ) from error
        self.setFormatter(Formatter())

    def doRollover(self) -> None:  # noqa: N802 - the name is the library's
        """Begin a new file."""
        followers = [descriptor for descriptor in (1, 2) if self._is_ours(descriptor)]
        super().doRollover()
        if self.stream is not None:
            for descriptor in followers:
                os.dup2(self.stream.fileno(), descriptor)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the library's
        """Go on: a full disk may end the log, but not the worker."""

    def _open(self) -> io.TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return io.TextIOWrapper(io.FileIO(descriptor, "ab"), encoding=self.encoding, errors=self.errors)

    def _is_ours(self, descriptor: int) -> bool:
        with contextlib.suppress(OSError):
            return self.stream is not None and os.path.sameopenfile(descriptor, self.stream.fileno())
        return False


def open_log(path: Path, *, max_size: int, backups: int) -> None:
    """Write everything that this process logs into this file too.

    :raises ConfigError: the file cannot be written.
    """
    logging.getLogger().addHandler(RotatingFile(path, max_size=max_size, backups=backups))
