"""The nouns of the centre, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import JobKind, MaintenanceCause, OrderKind
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.protocol.worker_log import Record

CONDITIONS = "conditions"
"""Among a worker's facts: why it takes no new job, in words; empty if it does."""

MAX_QUEUE_LENGTH = 256
"""Characters of a queue's name, as in Airflow's own tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A workload that the scheduler wants run; what the executor puts into the outbox."""

    id: UUID
    kind: JobKind
    workload_id: UUID
    """The id of Airflow's task instance or callback."""
    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    try_number: int
    queue: str
    team_name: str | None
    priority_weight: int
    slots: int
    owner: int | None
    """The id of the scheduler's job in Airflow: the only one that reports on it."""
    log_path: str
    """Where Airflow looks for the log, relative to its folder of logs."""
    workload: str
    """Airflow's JSON of the workload, without a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedJob:
    """A job that waits for a worker; `assignment` is the last number given out, 0 at first."""

    id: UUID
    queue: str
    team_name: str | None
    slots: int
    priority_weight: int
    queued_at: datetime
    assignment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a linked worker could take right now."""

    worker_id: UUID
    queues: frozenset[str]
    team_name: str | None
    free_slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob:
    """A job written down as handed out, ready to be offered."""

    id: UUID
    assignment: int
    worker_id: UUID
    kind: JobKind
    queue: str
    slots: int
    workload: str

    @property
    def key(self) -> AssignmentKey:
        """The assignment's name."""
        return AssignmentKey(str(self.id), self.assignment)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedJob:
    """A job that a worker holds or held, as the store knows it."""

    id: UUID
    assignment: int
    worker_id: UUID
    kind: JobKind
    workload_id: UUID
    slots: int
    state: JobState
    released: bool
    """Airflow holds the task's state; its slots are free."""

    @property
    def key(self) -> AssignmentKey:
        """The assignment's name."""
        return AssignmentKey(str(self.id), self.assignment)


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What Airflow's Execution API answered a call."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class CallMemory:
    """What is known of a call that was made before."""

    answer: CallAnswer | None
    """None where nobody lived to note it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job that has ended and that its executor has not booked yet."""

    id: UUID
    kind: JobKind
    workload_id: UUID
    state: JobState
    reason: str
    superseded: bool
    """A newer job was queued for the same workload: a task that was resumed, or rescheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwanted:
    """A job that its worker has to stop, and why."""

    worker_id: UUID
    job_id: UUID
    assignment: int
    reason: str

    @property
    def key(self) -> AssignmentKey:
        """The assignment's name."""
        return AssignmentKey(str(self.job_id), self.assignment)


@dataclass(frozen=True, slots=True)
class LogProgress:
    """How far a log is."""

    offset: int
    """Bytes received without a gap."""
    complete: bool
    """All of it is there and verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """What one assignment wrote of a log, and what there is to say about the rest of it."""

    id: UUID
    worker_name: str
    """Its id, if the worker itself is forgotten."""
    worker_state: WorkerState | None
    last_seen_at: datetime | None
    """When its worker was last heard from."""
    revoked: bool
    """Its worker was revoked."""
    job_state: JobState | None
    """None if the job is forgotten, or was handed out anew since."""
    created_at: datetime
    changed_at: datetime
    """When the last of it arrived."""
    size: int
    """Bytes that are here."""
    expected_size: int | None
    """Bytes that the site has, if it has said so: the job has ended there."""
    complete: bool
    """All of it is here and verified."""
    given_up_at: datetime | None = None
    """When the centre ceased to expect the rest. It is taken all the same, should it come."""
    purged_at: datetime | None = None
    """When its bytes were deleted because of their age (`[edge] log_retention`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """Somebody at the centre wants to see a worker's own log."""

    id: str
    until: datetime
    level: int
    """The least level; the numbers are those of `logging`."""
    lines: int
    """How many past records to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLogBatch:
    """Records of a worker's own log that came together."""

    number: int
    """Rises with each batch of a worker."""
    run: str
    """Names the agent's process."""
    first: int
    """How many records that process had sent, or could have, before these."""
    answers: str
    """The request whose past records end here."""
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedLog:
    """What one assignment wrote, to be handed over to a remote log as well."""

    id: UUID
    path: str
    again: bool
    """Somebody has begun with it before: the remote log may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """An enrolled worker."""

    id: UUID
    name: str
    public_key: bytes
    """32 bytes, Ed25519."""
    queues: tuple[str, ...]
    """The queues it may serve: the centre's word, not the worker's wish."""
    asked_queues: tuple[str, ...] | None = None
    """Those that it was started for; None for all that it may serve."""
    added_queues: tuple[str, ...] = ()
    """Those that an administrator has added since it was enrolled: it serves them whatever it was started for."""
    team_name: str | None
    state: WorkerState
    concurrency: int
    enrolled_at: datetime
    last_seen_at: datetime | None
    revoked_at: datetime | None
    boot_id: str | None
    link_id: UUID | None
    """The link that counts now; an older one of the same worker is closed."""
    transport: str | None
    """What carries that link, or carried the last one, for people."""
    agent_version: str | None
    airflow_version: str | None
    asked_state: WorkerState | None = None
    """What the centre has asked of it and it has not obeyed yet: one of `protocol.states.REQUESTS`."""
    maintenance_comment: str = ""
    maintenance_cause: MaintenanceCause | None = None
    """Who put it into the maintenance that it is in."""
    version_refused: str = ""
    """Why its versions get no jobs; empty if they do."""
    version_warning: str = ""
    """What is odd about its versions; empty for nothing."""
    system: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    log_request: LogRequest | None = None
    """The last request for its own log, over or not."""
    disconnect_grace: timedelta | None = None
    """How long its jobs are waited for while it is out of reach, where it has a grace of its own."""

    @property
    def served_queues(self) -> tuple[str, ...]:
        """The queues whose jobs it is given."""
        asked = self.asked_queues
        return tuple(name for name in self.queues if asked is None or name in asked or name in self.added_queues)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedJobs:
    """The running jobs of a worker that is out of reach."""

    worker_id: UUID
    jobs: int
    first_lost_after: datetime
    last_lost_after: datetime
    """When the grace of the first and of the last of them ends."""


class OrderState(StrEnum):
    """What became of an order to a worker."""

    WAITING = "waiting"
    """For the worker, linked or not."""
    DONE = "done"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    """A later one of its kind took its place before the worker got it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrder:
    """Something a person wants of a worker, and what became of it."""

    id: UUID
    worker_id: UUID
    kind: OrderKind
    text: str
    number: int | None
    asked_by: str
    asked_at: datetime
    state: OrderState
    detail: str = ""
    """Why it was refused, or what there is to say of it."""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Nonce:
    """The id of a signed request, which is good once."""

    subject: str
    """Whose it is."""
    jti: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What a worker says of itself when it links."""

    link_id: UUID
    gateway_id: str
    transport: str
    boot_id: str
    agent_version: str
    airflow_version: str
    concurrency: int
    state: WorkerState
    version_refused: str = ""
    """What the centre thinks of these versions: see `dispatch.versions`."""
    version_warning: str = ""
    asked_queues: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollToken:
    """An enrolment token without its secret."""

    id: UUID
    queues: tuple[str, ...]
    team_name: str | None
    name_pattern: str | None
    """A glob that the worker's name has to match."""
    disconnect_grace: timedelta | None = None
    """Its workers' own grace."""
    uses_left: int
    created_at: datetime
    expires_at: datetime
    created_by: str
    revoked_at: datetime | None
