"""Supervisors that have outlived their runtime: their tasks go on, and the agent sees to them until they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_edge.protocol import stopping
from airflow_edge.protocol.assignment import AssignmentKey

if TYPE_CHECKING:
    import psutil

log = logging.getLogger(__name__)

SUPERVISOR_GRACE = 5.0
"""Seconds that a supervisor has, once its task was killed, to note how it ended."""
LOOK_INTERVAL = 0.5
"""Seconds between two looks whether an orphan has ended."""


@dataclass(frozen=True, slots=True)
class _Supervisor:
    pid: int
    began: str | None
    """When it began, by the kernel's count; None where that cannot be known. A pid is used again."""

    def lives(self) -> bool:
        try:
            return os.getsid(self.pid) == self.pid and _began(self.pid) == self.began
        except OSError:
            return False


class Orphans:
    """Knows the supervisors of all jobs, and looks after those whose runtime is gone."""

    def __init__(self, exited: Callable[[AssignmentKey], None], *, note: Callable[[AssignmentKey, str], None]) -> None:
        """Know none yet.

        :param exited: is told when an orphan's supervisor is gone
        :param note: writes into a task's log what is done to it
        """
        self._exited = exited
        self._note = note
        self._known: dict[AssignmentKey, _Supervisor] = {}
        self._adopted: set[AssignmentKey] = set()
        self._kills: dict[AssignmentKey, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def remember(self, key: AssignmentKey, pid: int) -> None:
        """Note a job's supervisor while its runtime is there."""
        if pid > 1:
            self._known[key] = _Supervisor(pid, _began(pid))

    def discover(self, outputs: Mapping[Path, AssignmentKey]) -> None:
        """Find the supervisors of jobs that the runtime does not know: both it and the last agent may have died.

        :param outputs: the file that is the standard output of the job's supervisor
        """
        wanted = {}
        for path, key in outputs.items():
            with contextlib.suppress(OSError):
                wanted[_file(path)] = key
        for pid in _pids() if wanted else ():
            with contextlib.suppress(OSError):
                # The task may have the same output; only the supervisor leads a session.
                if os.getsid(pid) == pid and (found := wanted.get(_file(Path(f"/proc/{pid}/fd/1")))):
                    self.remember(found, pid)

    def forget(self, key: AssignmentKey) -> None:
        """The job has ended."""
        self._known.pop(key, None)
        self._adopted.discard(key)
        if kill := self._kills.pop(key, None):
            kill.cancel()

    def adopt(self, keys: Iterable[AssignmentKey]) -> frozenset[AssignmentKey]:
        """Look after those of these jobs, unknown to the runtime, whose supervisors live all the same; give them."""
        found = {key for key in keys if (known := self._known.get(key)) and known.lives()}
        if found - self._adopted:
            log.warning("%d tasks have outlived their runtime; they go on", len(found - self._adopted))
        self._adopted |= found
        self._wake.set()
        return frozenset(found)

    def halt(self, key: AssignmentKey, grace: float, reason: str) -> bool:
        """End an orphan: SIGTERM to its task, after `grace` seconds SIGKILL to all of it. False if it is none."""
        supervisor = self._known.get(key)
        if key not in self._adopted or supervisor is None:
            return False
        if key not in self._kills:
            for task in _children(supervisor):
                with contextlib.suppress(ProcessLookupError):
                    if os.getpgid(task.pid) == task.pid:
                        os.killpg(task.pid, signal.SIGTERM)
                    else:
                        os.kill(task.pid, signal.SIGTERM)
            self._note(key, stopping.terminated(reason, grace))
            self._kills[key] = asyncio.get_running_loop().call_later(grace, self._kill_task, key, supervisor, grace)
        return True

    def _kill_task(self, key: AssignmentKey, supervisor: _Supervisor, grace: float) -> None:
        if supervisor.lives():
            self._note(key, stopping.killed(grace))
            for process in _children(supervisor, recursive=True):
                _kill(process.pid)
            loop = asyncio.get_running_loop()
            self._kills[key] = loop.call_later(SUPERVISOR_GRACE, _kill_supervisor, supervisor)

    async def run(self) -> None:
        """Notice the ends of orphans."""
        while True:
            self._wake.clear()
            for key in list(self._adopted):
                if not self._known[key].lives():
                    _end_session(self._known[key])
                    self.forget(key)
                    self._exited(key)
            if self._adopted:
                await asyncio.sleep(LOOK_INTERVAL)
            else:
                await self._wake.wait()


def _began(pid: int) -> str | None:
    """Give the time at which a process began (field 22 of proc(5)'s stat); together with its pid that is unique."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # What nobody has reaped yet is gone all the same.
    return "gone" if fields[0] in {"Z", "X"} else fields[19]


def _children(supervisor: _Supervisor, *, recursive: bool = False) -> list[psutil.Process]:
    import psutil

    try:
        return psutil.Process(supervisor.pid).children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []


def _file(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _pids() -> list[int]:
    """Every process of this machine, where the kernel shows them as files."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _end_session(supervisor: _Supervisor) -> None:
    """End what a supervisor that was killed has left behind: for all we know its job is over."""
    for pid in _pids():
        with contextlib.suppress(OSError):
            # As long as there is one of its session left, its pid is not given to another process.
            if os.getsid(pid) == supervisor.pid != pid:
                _kill(pid)


def _kill_supervisor(supervisor: _Supervisor) -> None:
    if supervisor.lives():
        log.warning("the supervisor %d does not end; it is killed", supervisor.pid)
        _kill(supervisor.pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
