"""Airflow's log handler, with a way of its own to read the logs of tasks at the edge: lazily, and on from a place."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import escape
from itertools import chain
from pathlib import Path
from typing import Any, Final

from airflow.utils.log.file_task_handler import FileTaskHandler, StructuredLogMessage, _interleave_logs
from airflow.utils.state import TaskInstanceState

from airflow_edge.logs.finding import EdgeLog, explanation_of, find_log, open_store, read_part, waits_at_the_edge
from airflow_edge.logs.task_log import EdgeTaskLog, Stream, each
from airflow_edge.rules.logs.lines import first_bytes, line_start, lines, position
from airflow_edge.store.store import Store

KEY: Final = "airflow_edge"
"""Under which a reader's place is kept in Airflow's continuation token."""
COUNTED: Final = "log_pos"
"""Airflow's own: how many lines a reader has had."""

_MAY_GO_ON: Final = frozenset({TaskInstanceState.RUNNING, TaskInstanceState.DEFERRED})
_PIECE: Final = 1024 * 1024
_WINDOW: Final = 64 * 1024
"""Bytes before a reader's place in which the beginning of a line is looked for; nearly all lines are shorter."""


class EdgeTaskHandler(FileTaskHandler):
    """Airflow's handler. What differs for the log of a task at the edge:

    - Airflow's reads a whole log to count its lines before it gives the first one. This gives each line as it is read,
      and a reader's place is in bytes, which are known beforehand.
    - What is missing is said at the end, where nothing counts it, and once to a reader who goes on.
    - Airflow's own files of that log (the triggerer's) are shown beside what the worker has sent, after the end too.
    """

    def _read(self, ti: Any, try_number: int, metadata: Any = None) -> tuple[Any, Any]:
        path = self._render_filename(ti, try_number)
        store = open_store()
        log = find_log(store, path, ti, try_number)
        place = dict(metadata or {})
        if (log is None or not log.parts) and waits_at_the_edge(ti, try_number):
            return chain(_group("Why it is not running", [explanation_of(store, ti)])), {**place, "end_of_log": True}
        if log is None or COUNTED in place or (log.is_purged and _inner() is not None):
            return super()._read(ti, try_number, metadata)
        ended = ti.try_number != try_number or ti.state not in _MAY_GO_ON
        reading = _Reading(place.get(KEY), ended=ended)
        streams = [
            *reading.parts(store, log),
            *reading.files(_beside(Path(self.local_base), path)),
            *self._from_triggerer(reading, ti, path),
        ]
        header = [] if reading.goes_on else _group("Log message source details", [*log.origins, *reading.sources])
        messages = chain(header, _interleave_logs(*streams), reading.closing(log.notices))
        return messages, {**place, "end_of_log": ended, KEY: reading.place}

    def _from_triggerer(self, reading: _Reading, ti: Any, path: str) -> list[Stream]:
        """Give the lines of the triggerer that are not in a file here: its machine has them, or a remote log."""
        triggerer = getattr(ti, "triggerer_job", None)
        if not reading.ended and ti.state == TaskInstanceState.DEFERRED and triggerer is not None:
            if not reading.has_file(f"{path}.trigger.{triggerer.id}.log"):
                sources, streams = self._read_from_logs_server(ti, path)
                return reading.served(sources, streams)
        elif reading.ended and (inner := _inner()) is not None and not reading.sources:
            sources, streams = inner.stream_inner(f"{path}.trigger", ti)
            if streams:
                reading.sources += sources
            return streams
        return []


def read_here() -> None:
    """Have this process read the logs of tasks with our handler where it would with Airflow's own.

    No setting is needed for that. A handler that another provider brings, or a person, is left as it is.
    """
    for logger in (logging.getLogger("airflow.task"), logging.getLogger()):
        for stock in [handler for handler in logger.handlers if type(handler) is FileTaskHandler]:
            ours = EdgeTaskHandler(stock.local_base, stock.max_bytes, stock.backup_count, stock.delay)
            ours.setLevel(stock.level)
            ours.setFormatter(stock.formatter)
            for each_filter in stock.filters:
                ours.addFilter(each_filter)
            logger.removeHandler(stock)
            ours.name = stock.name
            logger.addHandler(ours)


class _Reading:
    """One look at a log by a reader who may have had the beginning already."""

    def __init__(self, place: dict[str, Any] | None, *, ended: bool) -> None:
        self.goes_on = place is not None
        self.ended = ended
        """Nobody will go on from here."""
        self.sources: list[str] = []
        before = place or {}
        self._had: dict[str, int] = before.get("had", {})
        self._said: list[str] = before.get("said", [])
        self.place: dict[str, Any] = {"had": dict(self._had), "said": self._said}

    def parts(self, store: Store, log: EdgeLog) -> Iterator[Stream]:
        for part in log.parts:
            if part.purged_at is None:
                after = min(self._had.get(str(part.id), 0), part.size)
                window = max(0, after - _WINDOW)
                start = line_start(b"".join(first_bytes(read_part(store, part, window), after - window)), after)
                complete = part.complete or self.ended
                yield self._lines(str(part.id), read_part(store, part, start), part.size, start, complete=complete)

    def files(self, paths: Iterable[Path]) -> Iterator[Stream]:
        for path in paths:
            try:
                size = path.stat().st_size
            except OSError:
                # Deleted meanwhile, for its age.
                continue
            self.sources.append(str(path))
            yield self._lines(path.name, first_bytes(_pieces(path), size), size, complete=self.ended)

    def served(self, sources: list[str], streams: list[Any]) -> list[Stream]:
        """Take over what Airflow fetches from a triggerer: few lines, and counted."""
        self.sources += sources
        fetched = [line for stream in streams for line in stream]
        new = fetched[self._had.get("triggerer", 0) :]
        self.place["had"]["triggerer"] = len(fetched)
        return [each(new)]

    def has_file(self, path: str) -> bool:
        return any(source.endswith(path) for source in self.sources)

    def closing(self, notices: list[str]) -> list[StructuredLogMessage]:
        """Give what is missing, unless this reader has been told so."""
        self.place["said"] = notices
        return [_message(text, level="warning") for text in notices if text not in self._said]

    def _lines(self, name: str, pieces: Iterable[bytes], size: int, start: int = 0, *, complete: bool) -> Stream:
        after = self._had.get(name, 0)
        self.place["had"][name] = position(size, complete=complete)
        return each(lines(pieces, complete=complete, start=start, after=after))


def _inner() -> EdgeTaskLog | None:
    """Give ours, if there is another remote log behind it; one that is configured without ours counts as that."""
    from airflow.logging_config import get_remote_task_log

    remote = get_remote_task_log()
    ours = remote if remote is None or isinstance(remote, EdgeTaskLog) else EdgeTaskLog(remote)
    return ours if ours is not None and ours.inner is not None else None


def _beside(base: Path, relative_path: str) -> list[Path]:
    """Give the files that Airflow itself has written here to the same log: the triggerer's, the scheduler's."""
    root = base.resolve()
    log = root / relative_path
    try:
        found = sorted(path for path in log.parent.glob(f"{escape(log.name)}.*") if path.is_file())
        return [path for path in found if path.resolve().is_relative_to(root)]
    except (OSError, ValueError):
        # No file can be called like this, or nobody may look: then nobody has written one.
        return []


def _pieces(path: Path) -> Iterator[bytes]:
    with suppress(FileNotFoundError), path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _group(title: str, texts: list[str]) -> list[StructuredLogMessage]:
    return [_message(f"::group::{title}"), *map(_message, texts), _message("::endgroup::")]


def _message(event: str, **fields: str) -> StructuredLogMessage:
    return StructuredLogMessage(event=event, **fields)  # type: ignore[arg-type]
