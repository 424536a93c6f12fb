"""The agent's own log file: it begins anew at a size, and the older ones are numbered."""

from __future__ import annotations

import io
import logging
from pathlib import Path

from airflow_edge.agent.errors import unusable
from airflow_edge.protocol.logs.worker_log import Formatter
from airflow_edge.site.files import make_way
from airflow_edge.site.rotation import Rotation


class RotatingFile(logging.StreamHandler[io.TextIOWrapper]):
    """Writes records to a log file that begins anew at a size. The library's own takes stdout and stderr not along."""

    def __init__(self, path: Path, *, max_size: int, backups: int) -> None:
        """:raises AgentError: the file cannot be written."""
        self._rotation = Rotation(path, max_size=max_size, backups=backups)
        try:
            make_way(path)
            file = io.FileIO(self._rotation.open(), "ab")
        except OSError as error:
            raise unusable(path, error) from error
        super().__init__(io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace"))
        self.setFormatter(Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        super().emit(record)
        self._rotation.rotate(self.stream.fileno())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the library's
        """Go on: a full disk may end the log, but not the worker."""
