"""What is known after a run, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class Try(NamedTuple):
    """Names one attempt at one task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    number: int

    @property
    def task(self) -> tuple[str, str, str, int]:
        return self[:4]

    def __str__(self) -> str:
        index = "" if self.map_index < 0 else f"[{self.map_index}]"
        return f"{self.run_id} {self.task_id}{index} try {self.number}"


@dataclass(frozen=True)
class Entry:
    """A line of a ledger: what a task itself wrote down at its site. Times are in seconds since the epoch."""

    of: Try
    what: Literal["start", "end"]
    worker: str
    time: float
    pid: int
    lines: int = 0
    """How many numbered lines it prints between start and end."""


@dataclass(frozen=True)
class TaskTry:
    """A try as Airflow holds it; only the latest one of a task instance can be unfinished."""

    of: Try
    state: str | None
    latest: bool = True


class Assignment(NamedTuple):
    """Names one handing-out of a job."""

    job_id: str
    number: int


@dataclass(frozen=True)
class Job:
    """A job as our table holds it, with its last assignment."""

    of: Try
    assignment: Assignment
    state: str
    worker: str | None = None
    reason: str = ""
    started: float | None = None
    ended: float | None = None
    booked: bool = True
    owned: bool = True
    """Its owner is a scheduler that runs. Nobody books a job that ended after its scheduler had."""
    to_stop: bool = False
    log_complete: bool = True
    """The centre has the log as long, and with the digest, as the site says that it is."""


@dataclass(frozen=True)
class Kill:
    """What ran these assignments, supervisors or tasks, was killed on purpose, or a file of theirs was damaged."""

    worker: str
    time: float
    assignments: frozenset[Assignment]


@dataclass(frozen=True)
class FullDisk:
    """For so long a site's disk had no room: what its tasks wrote to their logs meanwhile may be missing there."""

    worker: str
    begin: float
    end: float


@dataclass(frozen=True)
class Log:
    """The numbers of the lines that a try was to print, as its log has them, and how many it was to print."""

    of: Try
    lines: tuple[int, ...]
    expected: int
    whole: bool = True
    """It has printed all of them: it came to its end."""


@dataclass(frozen=True)
class Leftover:
    """Something that is still at a site though nothing should be."""

    worker: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that is compared."""

    entries: tuple[Entry, ...] = ()
    tries: tuple[TaskTry, ...] = ()
    jobs: tuple[Job, ...] = ()
    asked_for: tuple[str, ...] = ()
    """The ids of the Dag runs that Airflow has said to have begun."""
    runs: dict[str, str] = field(default_factory=dict)
    """The state of each Dag run, by its id."""
    kills: tuple[Kill, ...] = ()
    spoiled_logs: frozenset[Assignment] = frozenset()
    """Assignments whose logs were damaged on purpose: what is in those says nothing."""
    full_disks: tuple[FullDisk, ...] = ()
    logs: tuple[Log, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
