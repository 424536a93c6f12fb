"""`airflow edge worker-logs`: asks a worker for its own log, and shows what comes of it."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from airflow_edge.admin.config import session
from airflow_edge.cli.centre.common import audited
from airflow_edge.protocol.logs.worker_log import LEVELS, Record, level_name
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.logs.worker_log import Lost, WorkerLogReader
from airflow_edge.rules.worker import LogRequest, Worker
from airflow_edge.store.store import Store

LOOK_INTERVAL: Final = 0.3
PROLONG_INTERVAL: Final = 10.0
REQUEST_LASTS: Final = timedelta(seconds=30)
"""For how long a worker sends its log after whoever asked for it has gone without a word."""
PATIENCE: Final = 20.0
"""Seconds that a worker has to answer."""

_AWAY: Final = frozenset({WorkerState.OFFLINE, WorkerState.UNKNOWN})

Say = Callable[[str], None]


@audited
def worker_logs(args: argparse.Namespace) -> None:
    """Show a worker's own log."""
    store = Store(session)
    worker = store.workers.named(args.name)
    if worker is None:
        raise SystemExit(f"There is no worker '{args.name}'; see: airflow edge list-workers")
    view = WorkerLogView(
        store,
        worker,
        level=LEVELS[args.level.upper()],
        say=lambda text: print(text, flush=True),
        note=lambda text: print(f"[{text}]", file=sys.stderr, flush=True),
    )
    with contextlib.suppress(KeyboardInterrupt):
        if args.follow:
            view.follow(args.lines)
        else:
            view.show(args.lines)


class WorkerLogView:
    """One worker's own log, as one person looks at it."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        *,
        level: int,
        say: Say,
        note: Say,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """:param say: takes a line of the log

        :param note: takes a line about it
        :param pause: waits so many seconds
        """
        self._store = store
        self._worker = worker
        self._level = level
        self._say = say
        self._note = note
        self._pause = pause
        self._reader = WorkerLogReader(level)
        self._request = uuid4().hex
        self._answered = False

    def show(self, lines: int) -> None:
        """Show the last lines, from the worker if it is there, else what the centre has."""
        if self._is_away():
            self._note_absence()
            self._show_kept()
            return
        self._begin(lines)
        deadline = time.monotonic() + PATIENCE
        # Somebody else may be looking at the same log, and what is new be sent while the answer is on its way.
        found = list(self._read(self._reader))
        while not self._answered:
            if time.monotonic() > deadline:
                self._note(
                    f"worker '{self._worker.name}' has not answered within {PATIENCE:.0f} s: its link may be gone, or "
                    f"it is too old for this (airflow-edge {self._worker.agent_version}). This is what the centre has:"
                )
                self._show_kept()
                return
            self._pause(LOOK_INTERVAL)
            found += self._read(self._reader)
        for record in found[-lines:]:
            self._show(record)

    def follow(self, lines: int) -> None:
        """Show the last lines, and what is added, until interrupted."""
        away = self._is_away()
        if away:
            self._note_absence()
            self._show_kept()
        self._begin(lines)
        while True:
            due = time.monotonic() + PROLONG_INTERVAL
            while time.monotonic() < due:
                for found in self._read(self._reader):
                    self._show(found)
                self._pause(LOOK_INTERVAL)
            self._ask(0)
            before, away = away, self._is_away()
            if away and not before:
                self._note_absence()
            elif before and not away:
                self._note(f"worker '{self._worker.name}' is back")

    def _begin(self, lines: int) -> None:
        self._reader.after = self._store.worker_logs.last(self._worker.id)
        self._ask(lines)

    def _is_away(self) -> bool:
        self._worker = self._store.workers.get(self._worker.id) or self._worker
        worker = self._worker
        return worker.revoked_at is not None or worker.link_id is None or worker.state in _AWAY

    def _note_absence(self) -> None:
        worker = self._worker
        state = "revoked" if worker.revoked_at else worker.state
        seen = worker.last_seen_at
        since = f"was last seen {seen:%Y-%m-%d %H:%M:%S} UTC" if seen else "was never there"
        self._note(f"worker '{worker.name}' is away ({state}) and {since}; this is what the centre has of its log")

    def _ask(self, lines: int) -> None:
        now = datetime.now(UTC)
        request = LogRequest(id=self._request, until=now + REQUEST_LASTS, level=self._level, lines=lines)
        self._store.worker_logs.want(self._worker.id, request, now=now)

    def _read(self, reader: WorkerLogReader) -> Iterator[Record | Lost]:
        """Give what has come since, and note whether the past that was asked for is complete with it."""
        while batches := self._store.worker_logs.read(self._worker.id, after=reader.after):
            self._answered = self._answered or any(batch.answers == self._request for batch in batches)
            yield from reader.read(batches)

    def _show_kept(self) -> None:
        """Show all that the centre has, in the order of its times: what was asked for twice has come twice."""
        found = list(self._read(WorkerLogReader(self._level)))
        records = sorted((one for one in found if isinstance(one, Record)), key=lambda record: record.time)
        for record in records:
            self._show(record)
        if lost := sum(one.count for one in found if isinstance(one, Lost)):
            self._show(Lost(lost))
        if not records:
            self._note(
                "the centre has nothing of its log ([edge] worker_log_level at the site says what is always sent)"
            )

    def _show(self, found: Record | Lost) -> None:
        if isinstance(found, Lost):
            self._note(f"{found.count} lines lost")
        else:
            self._say(line(found))


def line(record: Record) -> str:
    """Write a record for a terminal, which must not obey what a site has written."""
    moment = datetime.fromtimestamp(record.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in record.text)
    return f"{moment} {level_name(record.level):<8} {record.source:<7} {text}"
