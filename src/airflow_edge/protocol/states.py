"""The states of a job and of a worker, and every step between them.

A step that is not in the table raises `IllegalTransitionError` and changes nothing. The state diagrams in the docs
are drawn from these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from airflow_edge.protocol.errors import IllegalTransitionError

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


class JobState(StrEnum):
    """Where a job is, as the centre knows it."""

    QUEUED = "queued"
    """Waiting for a worker."""
    LEASED = "leased"
    """Handed out under an assignment number; the worker has not answered yet."""
    RUNNING = "running"
    """Accepted by the worker that holds it."""
    SUCCEEDED = "succeeded"
    """Its process ended with status 0."""
    FAILED = "failed"
    """Its process ended otherwise, or could not be started."""
    LOST = "lost"
    """Its worker is gone for good, or came back without it."""
    CANCELLED = "cancelled"
    """The centre took it back before it ended."""


class JobEvent(StrEnum):
    """What happens to a job."""

    CLAIM = "claim"
    ACCEPT = "accept"
    REFUSE = "refuse"
    DENY = "deny"
    """The owners of all machines that it could go to have refused it for good."""
    EXPIRE = "expire"
    STALL = "stall"
    """It was accepted, and its task has not begun for too long."""
    SUCCEED = "succeed"
    FAIL = "fail"
    LOSE = "lose"
    CANCEL = "cancel"


class WorkerState(StrEnum):
    """What a worker is doing, in the words operators use."""

    STARTING = "starting"
    """Its agent runs, its runtime is not ready yet."""
    IDLE = "idle"
    """Ready, no job."""
    RUNNING = "running"
    """At least one job."""
    SHUTDOWN_REQUEST = "shutdown request"
    """Asked to shut down; the worker has not obeyed yet."""
    TERMINATING = "terminating"
    """Takes no new job and ends when its jobs have."""
    OFFLINE = "offline"
    """Enrolled, and shut down in good order or never started."""
    UNKNOWN = "unknown"
    """Expected, but not heard from."""
    MAINTENANCE_REQUEST = "maintenance request"
    """Asked to go into maintenance; the worker has not obeyed yet."""
    MAINTENANCE_PENDING = "maintenance pending"
    """Takes no new job; its last ones still run."""
    MAINTENANCE_MODE = "maintenance mode"
    """Takes no new job and has none."""
    MAINTENANCE_EXIT = "maintenance exit"
    """Asked to leave maintenance; the worker has not obeyed yet."""
    OFFLINE_MAINTENANCE = "offline maintenance"
    """Shut down in maintenance, and back in maintenance when it starts again."""


class WorkerEvent(StrEnum):
    """What happens to a worker."""

    START = "start"
    INITIALISED = "initialised"
    INITIALISED_IN_MAINTENANCE = "initialised, in maintenance"
    TASK_IN = "task in"
    TASKS_DONE = "all tasks done"
    TASKS_DONE_IN_MAINTENANCE = "all tasks done, in maintenance"
    MAINTENANCE_ASKED = "maintenance asked for"
    TASKS_LEFT = "tasks still running"
    NO_TASK_LEFT = "no task running"
    EXIT_ASKED = "exit from maintenance asked for"
    SHUTDOWN_ASKED = "shutdown asked for"
    SHUT_DOWN = "shut down"
    SILENT = "no heartbeat"
    BACK_IDLE = "reachable again, no task"
    BACK_RUNNING = "reachable again, with tasks"
    BACK_TERMINATING = "reachable again, terminating"
    BACK_PENDING = "reachable again, in maintenance with tasks"
    BACK_IN_MAINTENANCE = "reachable again, in maintenance"


JOB_OPEN: Final = frozenset({JobState.QUEUED, JobState.LEASED, JobState.RUNNING})
JOB_HELD: Final = frozenset({JobState.LEASED, JobState.RUNNING})
JOB_ENDED: Final = frozenset(JobState) - JOB_OPEN

JOB_TRANSITIONS: Final[Mapping[JobState, Mapping[JobEvent, JobState]]] = {
    JobState.QUEUED: {
        JobEvent.CLAIM: JobState.LEASED,
        JobEvent.DENY: JobState.FAILED,
        JobEvent.CANCEL: JobState.CANCELLED,
    },
    JobState.LEASED: {
        JobEvent.ACCEPT: JobState.RUNNING,
        JobEvent.REFUSE: JobState.QUEUED,
        JobEvent.DENY: JobState.FAILED,
        JobEvent.EXPIRE: JobState.QUEUED,
        # The outcome may overtake the acceptance: each message may be late.
        JobEvent.SUCCEED: JobState.SUCCEEDED,
        JobEvent.FAIL: JobState.FAILED,
        JobEvent.LOSE: JobState.LOST,
        JobEvent.CANCEL: JobState.CANCELLED,
    },
    JobState.RUNNING: {
        # An acceptance may come twice.
        JobEvent.ACCEPT: JobState.RUNNING,
        JobEvent.STALL: JobState.QUEUED,
        JobEvent.SUCCEED: JobState.SUCCEEDED,
        JobEvent.FAIL: JobState.FAILED,
        JobEvent.LOSE: JobState.LOST,
        JobEvent.CANCEL: JobState.CANCELLED,
    },
    JobState.SUCCEEDED: {},
    JobState.FAILED: {},
    JobState.LOST: {},
    JobState.CANCELLED: {},
}

WORKER_TRANSITIONS: Final[Mapping[WorkerState, Mapping[WorkerEvent, WorkerState]]] = {
    WorkerState.STARTING: {
        WorkerEvent.INITIALISED: WorkerState.IDLE,
        WorkerEvent.INITIALISED_IN_MAINTENANCE: WorkerState.MAINTENANCE_REQUEST,
        WorkerEvent.SHUTDOWN_ASKED: WorkerState.SHUTDOWN_REQUEST,
        WorkerEvent.SHUT_DOWN: WorkerState.OFFLINE,
        WorkerEvent.SILENT: WorkerState.UNKNOWN,
    },
    WorkerState.IDLE: {
        WorkerEvent.TASK_IN: WorkerState.RUNNING,
        WorkerEvent.MAINTENANCE_ASKED: WorkerState.MAINTENANCE_REQUEST,
        WorkerEvent.SHUTDOWN_ASKED: WorkerState.SHUTDOWN_REQUEST,
        WorkerEvent.SHUT_DOWN: WorkerState.OFFLINE,
        WorkerEvent.SILENT: WorkerState.UNKNOWN,
    },
    WorkerState.RUNNING: {
        WorkerEvent.TASKS_DONE: WorkerState.IDLE,
        WorkerEvent.MAINTENANCE_ASKED: WorkerState.MAINTENANCE_REQUEST,
        WorkerEvent.SHUTDOWN_ASKED: WorkerState.SHUTDOWN_REQUEST,
        WorkerEvent.SHUT_DOWN: WorkerState.TERMINATING,
        WorkerEvent.SILENT: WorkerState.UNKNOWN,
    },
    WorkerState.SHUTDOWN_REQUEST: {
        WorkerEvent.TASKS_LEFT: WorkerState.TERMINATING,
        WorkerEvent.TASKS_DONE: WorkerState.OFFLINE,
        WorkerEvent.TASKS_DONE_IN_MAINTENANCE: WorkerState.OFFLINE_MAINTENANCE,
    },
    WorkerState.TERMINATING: {
        WorkerEvent.TASKS_DONE: WorkerState.OFFLINE,
        WorkerEvent.TASKS_DONE_IN_MAINTENANCE: WorkerState.OFFLINE_MAINTENANCE,
        WorkerEvent.SILENT: WorkerState.UNKNOWN,
    },
    WorkerState.OFFLINE: {
        WorkerEvent.START: WorkerState.STARTING,
        WorkerEvent.MAINTENANCE_ASKED: WorkerState.OFFLINE_MAINTENANCE,
    },
    WorkerState.UNKNOWN: {
        WorkerEvent.START: WorkerState.STARTING,
        WorkerEvent.MAINTENANCE_ASKED: WorkerState.MAINTENANCE_REQUEST,
        WorkerEvent.EXIT_ASKED: WorkerState.MAINTENANCE_EXIT,
        WorkerEvent.SHUTDOWN_ASKED: WorkerState.SHUTDOWN_REQUEST,
        WorkerEvent.BACK_IDLE: WorkerState.IDLE,
        WorkerEvent.BACK_RUNNING: WorkerState.RUNNING,
        WorkerEvent.BACK_TERMINATING: WorkerState.TERMINATING,
        WorkerEvent.BACK_PENDING: WorkerState.MAINTENANCE_PENDING,
        WorkerEvent.BACK_IN_MAINTENANCE: WorkerState.MAINTENANCE_MODE,
        WorkerEvent.SHUT_DOWN: WorkerState.OFFLINE,
    },
    WorkerState.MAINTENANCE_REQUEST: {
        WorkerEvent.TASKS_LEFT: WorkerState.MAINTENANCE_PENDING,
        WorkerEvent.NO_TASK_LEFT: WorkerState.MAINTENANCE_MODE,
        WorkerEvent.EXIT_ASKED: WorkerState.MAINTENANCE_EXIT,
        WorkerEvent.SHUTDOWN_ASKED: WorkerState.SHUTDOWN_REQUEST,
        WorkerEvent.SHUT_DOWN: WorkerState.OFFLINE_MAINTENANCE,
    },
    WorkerState.MAINTENANCE_PENDING: {
        WorkerEvent.TASKS_DONE: WorkerState.MAINTENANCE_MODE,
        WorkerEvent.EXIT_ASKED: WorkerState.MAINTENANCE_EXIT,
        WorkerEvent.SHUTDOWN_ASKED: WorkerState.SHUTDOWN_REQUEST,
        WorkerEvent.SHUT_DOWN: WorkerState.TERMINATING,
        WorkerEvent.SILENT: WorkerState.UNKNOWN,
    },
    WorkerState.MAINTENANCE_MODE: {
        WorkerEvent.EXIT_ASKED: WorkerState.MAINTENANCE_EXIT,
        WorkerEvent.SHUTDOWN_ASKED: WorkerState.SHUTDOWN_REQUEST,
        WorkerEvent.SHUT_DOWN: WorkerState.OFFLINE_MAINTENANCE,
        WorkerEvent.SILENT: WorkerState.UNKNOWN,
    },
    WorkerState.MAINTENANCE_EXIT: {
        WorkerEvent.TASKS_LEFT: WorkerState.RUNNING,
        WorkerEvent.NO_TASK_LEFT: WorkerState.IDLE,
        WorkerEvent.MAINTENANCE_ASKED: WorkerState.MAINTENANCE_REQUEST,
        WorkerEvent.SHUTDOWN_ASKED: WorkerState.SHUTDOWN_REQUEST,
        WorkerEvent.SHUT_DOWN: WorkerState.OFFLINE,
    },
    WorkerState.OFFLINE_MAINTENANCE: {
        WorkerEvent.START: WorkerState.STARTING,
        WorkerEvent.EXIT_ASKED: WorkerState.OFFLINE,
    },
}

MAINTENANCE: Final = frozenset(
    {
        WorkerState.MAINTENANCE_REQUEST,
        WorkerState.MAINTENANCE_PENDING,
        WorkerState.MAINTENANCE_MODE,
        WorkerState.OFFLINE_MAINTENANCE,
    }
)
"""States of a worker that takes no job because somebody works on it."""
OFFLINE_AS: Final[Mapping[WorkerState, WorkerState]] = {
    **dict.fromkeys(WorkerState, WorkerState.OFFLINE),
    **dict.fromkeys(MAINTENANCE, WorkerState.OFFLINE_MAINTENANCE),
}
"""What a worker is after it has shut down in this state."""
REQUESTS: Final = frozenset(
    {WorkerState.MAINTENANCE_REQUEST, WorkerState.MAINTENANCE_EXIT, WorkerState.SHUTDOWN_REQUEST}
)
"""States that the centre gives to a worker that has not obeyed yet. They wait for it, however long it is silent."""


def next_state(table: Mapping[State, Mapping[Event, State]], state: State, event: Event) -> State:
    """Give the state that follows by this table, or raise `IllegalTransitionError`."""
    try:
        return table[state][event]
    except KeyError:
        allowed = ", ".join(sorted(table[state])) or "nothing"
        raise IllegalTransitionError(
            f"'{event}' is not possible in state '{state}' (possible there: {allowed})"
        ) from None


def next_job_state(state: JobState, event: JobEvent) -> JobState:
    """Give the state that follows, or raise `IllegalTransitionError`."""
    return next_state(JOB_TRANSITIONS, state, event)


def next_worker_state(state: WorkerState, event: WorkerEvent) -> WorkerState:
    """Give the state that follows, or raise `IllegalTransitionError`."""
    return next_state(WORKER_TRANSITIONS, state, event)


def job_sources(event: JobEvent) -> frozenset[JobState]:
    """Give the states in which the event is possible, for a guarded UPDATE."""
    return frozenset(state for state, steps in JOB_TRANSITIONS.items() if event in steps)
