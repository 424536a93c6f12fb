"""Airflow's remote task log, served from the store, with another one behind it."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_edge.logs.lines import lines

if TYPE_CHECKING:
    from airflow_edge.dispatch.model import LogPart
    from airflow_edge.store.sql import SqlStore

Sources: TypeAlias = list[str]
Stream: TypeAlias = Generator[str, None, None]


class EdgeTaskLog:
    """Airflow's `RemoteLogStreamIO`: logs that came from edge workers, and those of `inner` for all other tasks.

    Nothing is imported or connected to before a log is asked for.
    """

    def __init__(self, inner: Any = None) -> None:
        """Set it up.

        :param inner: a `RemoteLogIO` of Airflow (S3, GCS, …), if one is configured
        """
        self._inner = inner

    @property
    def processors(self) -> tuple[Any, ...]:
        """Give the steps that log lines go through while they are written; ours need none."""
        return () if self._inner is None else tuple(self._inner.processors)

    def upload(self, path: os.PathLike[str] | str, ti: Any = None) -> None:
        """Keep the log of a task that ran here."""
        if self._inner is not None:
            self._inner.upload(path, ti)

    def stream(self, relative_path: str, ti: Any) -> tuple[Sources, list[Stream]]:
        """Give where the log is from, and its lines, read from the store as they are asked for.

        For a task of an edge worker there is always a line of origin and a stream: without them Airflow would try to
        reach the worker's machine, and wait for it in vain.
        """
        store = _store()
        parts = store.log_parts(relative_path)
        if parts:
            return [_origin(part) for part in parts], [_stream(store, part) for part in parts]
        if _is_of_edge_worker(store, ti):
            return [f"Nothing has arrived from edge worker '{ti.hostname}' yet"], [_nothing()]
        return self._stream_inner(relative_path, ti)

    def read(self, relative_path: str, ti: Any) -> tuple[Sources, list[str] | None]:
        """Give the same at once; an old way, which Airflow only uses where there is no `stream`."""
        sources, streams = self.stream(relative_path, ti)
        return sources, ["\n".join(stream) for stream in streams]

    def _stream_inner(self, relative_path: str, ti: Any) -> tuple[Sources, list[Stream]]:
        if self._inner is None:
            return [], []
        if hasattr(self._inner, "stream"):
            sources, streams = self._inner.stream(relative_path, ti)
            return sources, streams
        sources, logs = self._inner.read(relative_path, ti)
        return sources, [_split(log) for log in logs or ()]


def _store() -> SqlStore:
    from airflow import settings

    from airflow_edge.store.sql import SqlStore

    if settings.NonScopedSession is None:
        raise RuntimeError("Airflow's database session is not set up in this process")
    return SqlStore(settings.NonScopedSession)


def _is_of_edge_worker(store: SqlStore, ti: Any) -> bool:
    """Say whether the task ran on an edge worker, which it names as its host."""
    hostname = getattr(ti, "hostname", None)
    return bool(hostname) and any(worker.name == hostname for worker in store.workers())


def _origin(part: LogPart) -> str:
    state = "complete" if part.complete else "still arriving"
    return f"From edge worker '{part.worker_name}': {part.size} bytes, {state}"


def _stream(store: SqlStore, part: LogPart) -> Stream:
    yield from lines(store.read_log_part(part.id), complete=part.complete)


def _split(log: str) -> Stream:
    yield from log.splitlines()


def _nothing() -> Stream:
    yield from ()
