"""What people see of workers and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from airflow_edge.protocol.messages import JobKind
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.worker import CONDITIONS, Worker

T = TypeVar("T")

READY = frozenset({WorkerState.IDLE, WorkerState.RUNNING})
"""States in which a worker is given jobs."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of what was found, and how many were found in all."""

    items: tuple[T, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are wanted; what is not given does not matter."""

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    """-1 for one that is not mapped."""
    queue: str | None = None
    worker: str | None = None
    team_name: str | None = None
    teams: frozenset[str] | None = None
    """Only of these teams, and those of none."""
    states: frozenset[JobState] = frozenset()
    search: str | None = None
    """In the ids of Dag, run and task, in any case; with `*` or `?` all of one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker and what it has taken."""

    worker: Worker
    taken_slots: int
    jobs: int

    @property
    def conditions(self) -> str:
        """What the worker says keeps it from taking jobs, like a full disk; empty if nothing does."""
        return str(self.worker.system.get(CONDITIONS, ""))

    @property
    def ready(self) -> bool:
        """Whether it is given jobs when it has room."""
        hindered = self.worker.revoked_at is not None or self.conditions or self.worker.version_refused
        return not hindered and self.worker.state in READY

    @property
    def free_slots(self) -> int:
        """Slots for which it would be given jobs now."""
        return max(0, self.worker.concurrency - self.taken_slots) if self.ready else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as people see it."""

    id: UUID
    kind: JobKind
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    state: JobState
    queue: str
    team_name: str | None
    slots: int
    priority_weight: int
    assignment: int
    worker: str
    """The name of the worker that has or last had it, or that a test job is for; its id if it was removed, empty if
    none ever had it."""
    queued_at: datetime
    lease_until: datetime | None
    offered_at: datetime | None = None
    """When it was handed out last, unless it came back."""
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    signal: int | None
    reason: str
    task_state: str | None = None
    """How Airflow holds the task that it was made for; None if it has moved on to another try, or is a callback."""
    left_at: datetime | None = None
    """When the machine that has it was last seen, where another machine has its worker's key by now."""
