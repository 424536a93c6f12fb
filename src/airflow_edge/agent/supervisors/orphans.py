"""Supervisors that have outlived their runtime: their tasks go on, and the agent sees to them until they end.

Whether one lives may not be known for a while, on a machine without descriptors for example. Then all stays as it was,
and it is looked for again: only what is certainly gone has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.process import keeper
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.site import processes
from airflow_edge.site.files import is_there
from airflow_edge.site.processes import find, holder, lives
from airflow_edge.site.stop import StopSteps

log = logging.getLogger(__name__)

LOOK_INTERVAL = 0.5
"""Seconds between two looks whether an orphan has ended."""


@dataclass(slots=True)
class _Orphan:
    stop: StopSteps
    process: psutil.Process | None
    """Its supervisor; None while that could not be looked for."""


class Orphans:
    """Knows the supervisors of all jobs, and looks after those whose runtime is gone."""

    def __init__(self, folders: JobFolders, exited: Callable[[AssignmentKey], None]) -> None:
        """:param exited: is told when an orphan's supervisor is gone; upon an `OSError` again a little later"""
        self._folders = folders
        self._exited = exited
        self._known: dict[AssignmentKey, psutil.Process] = {}
        self._adopted: dict[AssignmentKey, _Orphan] = {}
        self._wake = asyncio.Event()
        self._unknown = ""
        """Why it could not be known last which of them live."""

    def remember(self, key: AssignmentKey, pid: int) -> None:
        """Note a job's supervisor while its runtime is there, and no other process can have its pid."""
        # Whom we cannot look at now is looked for when the runtime is gone.
        with contextlib.suppress(OSError):
            if pid > 1 and (process := find(pid)):
                self._known[key] = process

    def forget(self, key: AssignmentKey) -> None:
        """The job has ended."""
        self._known.pop(key, None)
        self._adopted.pop(key, None)

    def adopt(self, keys: Iterable[AssignmentKey]) -> frozenset[AssignmentKey]:
        """Look after those of these jobs, unknown to the runtime, whose supervisors live, or may live; give them."""
        wanted = [key for key in keys if key in self._known or self._may_live(key)]
        new = [key for key in wanted if key not in self._adopted]
        for key in new:
            self._adopted[key] = _Orphan(
                StopSteps(self._folders.folder(key), keeper.here() or processes), self._known.get(key)
            )
        gone = self._gone()
        for key in gone.intersection(new):
            del self._adopted[key]
        if found := [key for key in new if key not in gone]:
            log.warning("%d tasks have outlived their runtime; they go on", len(found))
        self._wake.set()
        return frozenset(wanted) - gone

    def stop(self, key: AssignmentKey, grace: float, reason: str) -> bool:
        """End an orphan: SIGTERM to its task, after `grace` seconds SIGKILL to all of it. False if it is none."""
        if orphan := self._adopted.get(key):
            orphan.stop.ask(grace, reason, time.monotonic())
            self._wake.set()
        return orphan is not None

    async def run(self) -> None:
        """Notice the ends of orphans, and end those that are to end."""
        while True:
            self._wake.clear()
            for key in self._gone():
                try:
                    _end_session(self._adopted[key].process)
                    self._exited(key)
                    self.forget(key)
                except Exception as error:  # noqa: BLE001 - what cannot be dealt with now is still there the next time
                    log.warning("the end of job %s cannot be dealt with now: %s; trying again", key, error)
            now = time.monotonic()
            pause = LOOK_INTERVAL if self._adopted else None
            for orphan in self._adopted.values():
                if orphan.process is not None:
                    orphan.stop.enforce(orphan.process.pid, now)
                    if pause is not None and (due := orphan.stop.due) is not None:
                        pause = min(pause, max(0.0, due - now))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def _gone(self) -> set[AssignmentKey]:
        """Give the adopted whose supervisors are certainly gone."""
        gone = self._search()
        for key, orphan in self._adopted.items():
            with contextlib.suppress(OSError):
                if orphan.process is not None and not lives(orphan.process):
                    gone.add(key)
        return gone

    def _search(self) -> set[AssignmentKey]:
        """Find those that nobody remembers, since the last agent may have died as well; give those that are not there.

        A supervisor is known by the file that it holds; one that has not come to that yet, by its standard output.
        """
        missing = {key: orphan for key, orphan in self._adopted.items() if orphan.process is None}
        gone: set[AssignmentKey] = set()
        unheld: set[AssignmentKey] = set()
        for key, orphan in missing.items():
            try:
                pid = holder(self._folders.supervisor_pid(key))
                orphan.process = None if pid is None else find(pid)
            except FileNotFoundError:
                unheld.add(key)
            except OSError as error:
                self._note_unknown(error)
            else:
                gone |= set() if orphan.process else {key}
        try:
            return gone | self._search_by_output(unheld)
        except OSError as error:
            self._note_unknown(error)
            return gone

    def _search_by_output(self, missing: set[AssignmentKey]) -> set[AssignmentKey]:
        if not missing:
            return set()
        outputs = {_file(output): key for key in missing if is_there(output := self._folders.supervisor_log(key))}
        for pid in psutil.pids():
            # Whoever is not ours is none. The task may have the same output; only the supervisor leads a session.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                key = outputs.get(_file(Path(f"/proc/{pid}/fd/1"))) if os.getsid(pid) == pid else None
                if key in missing and (process := find(pid)):
                    missing = missing - {key}
                    self._adopted[key].process = process
        return missing

    def _note_unknown(self, error: OSError) -> None:
        if str(error) != self._unknown:
            log.warning("it cannot be known now which tasks have outlived their runtime: %s; looking again", error)
        self._unknown = str(error)

    def _may_live(self, key: AssignmentKey) -> bool:
        try:
            return self._folders.has_traces(key)
        except OSError:
            return True


def _end_session(process: psutil.Process | None) -> None:
    """End what a supervisor that was killed has left behind: for all we know its job is over."""
    # As long as there is one of its session left, its pid is not given to another process.
    if process is not None and find(process.pid) in {None, process}:
        (keeper.here() or processes).kill_session(process.pid)


def _file(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
