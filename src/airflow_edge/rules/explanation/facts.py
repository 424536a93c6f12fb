"""What an explanation why a task is not running is made of, and its causes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from airflow_edge.protocol.states import WorkerState

EDGE_EXECUTOR: Final = "EdgeExecutor"


class Cause(StrEnum):
    """What keeps a task from running, or what it does instead; stable, for scripts."""

    NO_TASK = "no-such-task"
    DAG_PAUSED = "dag-paused"
    NOT_SCHEDULED = "not-scheduled"
    PARALLELISM = "parallelism-used-up"
    POOL = "pool-full"
    SCHEDULED = "scheduled"
    DEFERRED = "deferred"
    RETRY_WAITS = "retry-waits"
    RESCHEDULED = "rescheduled"
    DAG_NOT_FOUND = "dag-not-found-at-site"
    QUEUED_TOO_LONG = "queued-too-long"
    NO_SCHEDULER = "no-scheduler"
    NO_GATEWAY = "no-gateway"
    FINISHED = "finished"
    OTHER_EXECUTOR = "other-executor"
    NOT_HANDED_OVER = "not-handed-over"
    QUEUE_PAUSED = "queue-paused"
    NO_WORKERS = "no-workers"
    NO_WORKER_FOR_QUEUE = "no-worker-for-queue"
    OTHER_TEAM = "other-team"
    TOO_LARGE = "too-large"
    NO_WORKER_READY = "no-worker-ready"
    WORKERS_FULL = "workers-full"
    BEHIND_OTHERS = "behind-others"
    DUE = "due"
    OFFERED = "offered"
    STARTING = "starting"
    RUNNING = "running"
    UNREACHABLE = "worker-unreachable"
    ENDED_AT_SITE = "ended-at-site"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """What Airflow knows of the task."""

    dag_id: str
    state: str | None
    """Airflow's, None before it is scheduled."""
    try_number: int
    executor: str
    """The name of the executor that is to run it."""
    team_name: str | None
    dag_paused: bool
    run_state: str
    due_at: datetime | None
    """When a retry or a rescheduled sensor is due."""
    upstream_waiting: int
    """Tasks upstream that have not ended."""
    pool: str
    pool_slots: int
    pool_free: int
    """Free slots of its pool; below its `pool_slots`, Airflow does not queue it."""
    executor_free: int
    """What `[core] parallelism` leaves this executor to queue."""
    parallelism: int
    is_sensor: bool | None = None
    """Whether it is one; None if Airflow does not know its Dag any more."""
    host: str = ""
    """Where its newest try runs or ran, as Airflow knows it: for an edge worker its name."""
    has_edge_log: bool = False
    """A worker has sent a log of its newest try."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tries_left: bool = True
    """Airflow has it run again if this try fails."""
    given_up_in_queue: bool = False
    """Airflow failed it because it was queued for too long, too often."""
    queued_timeout: float = 600.0
    """`[scheduler] task_queued_timeout`, in seconds."""


class Ahead(NamedTuple):
    """Queued jobs of the same queue and team that are due before a job."""

    jobs: int
    weightier: int
    """Those of them with a higher priority weight."""


NOBODY_AHEAD: Final = Ahead(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """A worker, as far as it matters to a job."""

    name: str
    state: WorkerState
    revoked: bool
    queues: frozenset[str]
    team_name: str | None
    slots: int
    free_slots: int
    seen_at: datetime | None
    grace_until: datetime | None = None
    """When the jobs of an unreachable worker are lost."""
    full_since: datetime | None = None
    """When the job that has run there longest began."""
    version_refused: str = ""
    """Why its version gets no jobs."""
    conditions: str = ""
    """What the worker itself says keeps it from taking jobs, like a full disk."""
    closed: str = ""
    """Why its owner has closed the job's queue there."""
    refusal: str = ""
    """Why its owner does not allow this job there."""
    maintenance: str = ""
    """Whose maintenance it is in, why, and until when, as far as that is known."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer: a stable cause and a sentence for a person."""

    cause: Cause
    sentence: str
    denied: tuple[str, ...] = ()
    """What the policy has denied its newest try, a line for each."""
