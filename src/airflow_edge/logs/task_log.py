"""Airflow's remote task log, served from the store, with another one behind it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from typing import Any, Final, TypeAlias

from airflow_edge.logs.finding import find_log, open_store, read_part
from airflow_edge.rules.file_names import fitting
from airflow_edge.rules.logs.lines import lines

Sources: TypeAlias = list[str]
Stream: TypeAlias = Generator[str, None, None]


class EdgeTaskLog:
    """Airflow's `RemoteLogStreamIO`: logs that came from edge workers, and those of `inner` for all other tasks.

    Nothing is imported or connected to before a log is asked for.
    """

    serves_edge_logs: Final = True
    """The executor looks for this, so as not to give the same lines again."""

    def __init__(self, inner: Any = None) -> None:
        """Set it up.

        :param inner: a `RemoteLogIO` of Airflow (S3, GCS, …), if one is configured
        """
        self.inner = inner

    @property
    def processors(self) -> tuple[Any, ...]:
        """Give the steps that log lines go through while they are written; ours need none."""
        return () if self.inner is None else tuple(self.inner.processors)

    def upload(self, path: os.PathLike[str] | str, ti: Any = None) -> None:
        """Keep the log of a task that ran here."""
        if self.inner is not None:
            self.inner.upload(path, ti)

    def stream(self, relative_path: str, ti: Any) -> tuple[Sources, list[Stream]]:
        """Give where the log is from, what is missing of it, and its lines, which are read as they are asked for.

        What is missing is not among the lines: Airflow counts those, to know where to go on. For a task of an edge
        worker there is always a line of origin and a stream: without them Airflow would try to reach the worker's
        machine, and wait for it in vain.
        """
        store = open_store()
        log = find_log(store, relative_path, ti)
        if log is None or (log.is_purged and self.inner is not None):
            return self.stream_inner(relative_path, ti)
        return [*log.origins, *log.notices], [
            each(lines(read_part(store, part), complete=part.complete)) for part in log.parts
        ] or [each(())]

    def read(self, relative_path: str, ti: Any) -> tuple[Sources, list[str] | None]:
        """Give the same at once; an old way, which Airflow only uses where there is no `stream`."""
        sources, streams = self.stream(relative_path, ti)
        return sources, ["\n".join(stream) for stream in streams]

    def stream_inner(self, relative_path: str, ti: Any) -> tuple[Sources, list[Stream]]:
        """Give what the handler behind this one has of a log."""
        if self.inner is None:
            return [], []
        relative_path = fitting(relative_path)
        if hasattr(self.inner, "stream"):
            sources, streams = self.inner.stream(relative_path, ti)
            return sources, streams
        sources, logs = self.inner.read(relative_path, ti)
        return sources, [each(log.removesuffix("\n").split("\n")) for log in logs or ()]


def each(texts: Iterable[str]) -> Stream:
    """Give these lines as Airflow wants them."""
    yield from texts
