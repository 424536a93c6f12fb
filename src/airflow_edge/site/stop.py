"""How the processes of a job are ended, step by step; its log says each step, in the form of Airflow's lines."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from airflow_edge.protocol.local import LOG_FILE, STOP_FILE, StopFile
from airflow_edge.site import processes
from airflow_edge.site.files import DamagedError, read
from airflow_edge.site.processes import kill

log = logging.getLogger(__name__)

SUPERVISOR_GRACE: Final = 5.0
"""Seconds that a supervisor has, once its task was killed, to note how it ended."""
SUPERVISOR_KILLED: Final = "the task's supervisor did not end either: SIGKILL was sent to it"
_RETRY_TERMINATE: Final = 0.05
_PAUSE: Final = 1.0


class Hands(Protocol):
    """Who signals a supervisor's task: this process, or one that may do more."""

    def terminate_task(self, supervisor: int) -> bool:
        """Like `processes.terminate_task`."""

    def kill_session(self, supervisor: int) -> None:
        """Like `processes.kill_session`."""


class StopSteps:
    """SIGTERM to the task, SIGKILL to all that is below its supervisor, SIGKILL to the supervisor."""

    def __init__(self, folder: Path, hands: Hands = processes) -> None:
        """:param folder: the job's; its log may not be there yet
        :param hands: who may end what is another user's
        """
        self._hands = hands
        self.folder = folder
        self.asked = False
        self._grace = 0.0
        self._reason = ""
        self._paused_until = 0.0
        self._killing = False
        self._terminate_at: float | None = None
        self._kill_at: float | None = None
        self._kill_supervisor_at: float | None = None

    @property
    def due(self) -> float | None:
        """When the next step is to be taken, by the monotonic clock."""
        steps = (self._terminate_at, self._kill_at, self._kill_supervisor_at)
        first = min((at for at in steps if at is not None), default=None)
        return None if first is None else max(first, self._paused_until)

    def ask(self, grace: float, reason: str, now: float) -> None:
        """Have it end; asked again, it can only end sooner.

        :param grace: seconds between SIGTERM and SIGKILL
        """
        if not self.asked:
            self.asked = True
            self._terminate_at, self._reason = now, reason
        elif self._kill_at is None or now + grace >= self._kill_at:
            return
        self._grace, self._kill_at = grace, now + grace

    def enforce(self, supervisor: int, now: float) -> None:
        """Take the steps that are due; what cannot be done now is done a little later."""
        if now < self._paused_until:
            return
        for step in (self._terminate, self._kill, self._kill_supervisor):
            try:
                step(supervisor, now)
            except OSError as error:
                log.error("what the supervisor %d runs cannot be ended now: %s; trying again", supervisor, error)
                self._paused_until = now + _PAUSE

    def _terminate(self, supervisor: int, now: float) -> None:
        if self._terminate_at is not None and now >= self._terminate_at:
            # A supervisor that was forked just now has no task yet.
            self._terminate_at = now + _RETRY_TERMINATE
            self._tell(signal.SIGTERM)
            if self._hands.terminate_task(supervisor):
                self._terminate_at = None
                self._note(terminated(self._reason, self._grace))

    def _kill(self, supervisor: int, now: float) -> None:
        if self._kill_at is not None and now >= self._kill_at:
            if not self._killing:
                self._terminate_at = None
                self._killing = True
                self._tell(signal.SIGKILL)
                self._note(killed(self._grace))
            self._hands.kill_session(supervisor)
            self._kill_at = None
            self._kill_supervisor_at = now + SUPERVISOR_GRACE

    def _kill_supervisor(self, supervisor: int, now: float) -> None:
        if self._kill_supervisor_at is not None and now >= self._kill_supervisor_at:
            self._hands.kill_session(supervisor)
            self._note(SUPERVISOR_KILLED)
            kill(supervisor)
            self._kill_supervisor_at = now + SUPERVISOR_GRACE

    def _tell(self, number: int) -> None:
        """Tell the supervisor what its task will end of; who cannot be told thinks what it likes."""
        with contextlib.suppress(OSError):
            new = self.folder / f".{STOP_FILE}"
            new.write_bytes(msgspec.json.encode(StopFile(reason=self._reason, signal=number)))
            new.replace(self.folder / STOP_FILE)

    def _note(self, event: str) -> None:
        note(self.folder, event)


def stop_of(folder: Path) -> StopFile | None:
    """Give what was done to end the task of this job's folder; None if nothing was, or if that cannot be told."""
    try:
        return read(folder / STOP_FILE, StopFile)
    except (OSError, DamagedError):
        return None


def note(folder: Path, event: str) -> None:
    """Write into the task's log what is done to it, if there is a log yet."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / LOG_FILE, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        try:
            os.write(descriptor, line(event, datetime.now(UTC)))
        finally:
            os.close(descriptor)


def terminated(reason: str, grace: float) -> str:
    """Say that SIGTERM was sent, and when SIGKILL follows (in `grace` seconds)."""
    return (
        f"the worker ends this task ({reason or 'no reason given'}): SIGTERM was sent, SIGKILL follows in {grace:g} s"
    )


def killed(grace: float) -> str:
    """Say that SIGKILL is sent, `grace` seconds after SIGTERM."""
    return f"the task did not end within {grace:g} s of SIGTERM: SIGKILL is sent to it and all its processes"


def ended(reason: str) -> str:
    """Say, when all is over, that it was the worker that ended the task."""
    return f"the worker has ended this task: {reason or 'no reason given'}"


def left_behind(count: int) -> str:
    """Say that a task has left so many processes behind, and that they were ended with it."""
    processes = "1 process was" if count == 1 else f"{count} processes were"
    return (
        f"{processes} left when this task ended: SIGKILL was sent; what is to live on needs [edge] keep_children at "
        "the site"
    )


def line(event: str, at: datetime) -> bytes:
    """Give a line for the log."""
    fields = {"timestamp": at.isoformat(), "level": "warning", "event": event, "logger": "airflow_edge"}
    return msgspec.json.encode(fields) + b"\n"
