"""A queue that somebody has paused: its jobs wait, whoever could take them; those that run go on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePause:
    """Who has paused a queue, and why."""

    team_name: str | None
    queue: str
    note: str
    by: str
    since: datetime

    def __str__(self) -> str:
        note = f": {self.note.rstrip('.')}" if self.note else ""
        return f"paused since {self.since:%Y-%m-%d %H:%M} UTC by {self.by}{note}"


def resume_command(team_name: str | None, queue: str) -> str:
    """Give the command that resumes a queue."""
    team = ["--team", team_name] if team_name is not None else []
    return shlex.join(["airflow", "edge", "resume-queue", queue, *team])


def foresee_pause(queued: int, running: int, *, served: bool) -> str:
    """Say what happens to the jobs of a queue that is paused."""
    if not (queued or running or served):
        return "no worker serves it and no job is in it: is this its name?"
    waits = f"{_jobs(queued)} {'waits' if queued == 1 else 'wait'} until it is resumed" if queued else "none waits"
    goes_on = f"; {_jobs(running)} {'goes' if running == 1 else 'go'} on" if running else ""
    return f"none of its jobs is handed out; {waits}{goes_on}"


def foresee_resumption(queued: int) -> str:
    """Say what happens to the jobs of a queue that is resumed."""
    return f"{_jobs(queued)} of it {'is' if queued == 1 else 'are'} handed out as workers have room" if queued else ""


def _jobs(number: int) -> str:
    return f"{number} job{'' if number == 1 else 's'}"
