"""The tables. None is named like one of Airflow's or edge3's; rows come and go independently, hence no foreign keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Uuid,
)
from sqlalchemy.orm import Mapped, MappedAsDataclass, mapped_column

from airflow_edge.protocol.messages import JobKind, MaintenanceCause, OrderKind
from airflow_edge.protocol.states import JobEvent, JobState, WorkerState, next_job_state
from airflow_edge.rules.explanation.journey import Undone, with_undone
from airflow_edge.rules.orders import OrderState
from airflow_edge.rules.processes import ProcessKind
from airflow_edge.store.base import (
    AIRFLOW_ID_LENGTH,
    AIRFLOW_TEAM_LENGTH,
    MAX_QUEUE_LENGTH,
    VERSION_TABLE,
    Base,
)
from airflow_edge.store.columns import Blob, ExactText, ForeignText, LongText, UtcDateTime, choice
from airflow_edge.store.log_tables import LogChunkRow, LogRow, WorkerLogRow
from airflow_edge.store.policy_tables import PolicyRow, PolicyUseRow
from airflow_edge.store.wish_tables import EnrollAttemptRow, QueuePauseRow, RefusalRow

__all__ = [
    "AIRFLOW_ID_LENGTH",
    "AIRFLOW_TEAM_LENGTH",
    "MAX_QUEUE_LENGTH",
    "VERSION_TABLE",
    "Base",
    "CallRow",
    "EnrollAttemptRow",
    "EnrollTokenRow",
    "JobRow",
    "LogChunkRow",
    "LogRow",
    "NonceRow",
    "PassedRequestRow",
    "PolicyRow",
    "PolicyUseRow",
    "ProcessRow",
    "QueuePauseRow",
    "RefusalRow",
    "WorkerEventRow",
    "WorkerLogRow",
    "WorkerMetricRow",
    "WorkerOrderRow",
    "WorkerRow",
]


GIVES_BACK: Final[Mapping[Undone, JobEvent]] = {
    "refused": JobEvent.REFUSE,
    "expired": JobEvent.EXPIRE,
    "taken back": JobEvent.EXPIRE,
    "not begun": JobEvent.STALL,
}
"""What happens to a job that goes back into the queue."""


class WorkerRow(Base):
    """An enrolled worker. It stays when it is revoked."""

    __tablename__ = "airflow_edge_worker"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(ExactText(200), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    queues: Mapped[list[str]] = mapped_column(JSON)
    asked_queues: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Those that it was last started for; none for all."""
    added_queues: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Those that an administrator has added, which it serves whatever it was started for."""
    team_name: Mapped[str | None] = mapped_column(ExactText(AIRFLOW_TEAM_LENGTH))
    enroll_token_id: Mapped[UUID | None] = mapped_column(Uuid)
    disconnect_grace: Mapped[int | None]
    """Seconds for which its jobs are waited for; None where the settings say it."""
    max_slots: Mapped[int | None]
    """How many slots it may have; None for as many as anybody."""
    state: Mapped[WorkerState] = mapped_column(choice(WorkerState, 32))
    concurrency: Mapped[int]
    enrolled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    """When an admin, or a link, last changed who may serve under this name."""
    boot_id: Mapped[str | None] = mapped_column(ForeignText())
    link_id: Mapped[UUID | None] = mapped_column(Uuid)
    gateway_id: Mapped[str | None] = mapped_column(String(250))
    transport: Mapped[str | None] = mapped_column(String(32))
    agent_version: Mapped[str | None] = mapped_column(ForeignText(100))
    airflow_version: Mapped[str | None] = mapped_column(ForeignText(100))
    protocol: Mapped[int | None] = mapped_column(SmallInteger)
    """The version that is spoken with it; None if it has not linked since that is noted."""
    version_refused: Mapped[str] = mapped_column(ForeignText(), default="")
    version_warning: Mapped[str] = mapped_column(ForeignText(), default="")
    asked_state: Mapped[WorkerState | None] = mapped_column(choice(WorkerState, 32))
    """What an order that the worker has not obeyed yet has made of its state."""
    maintenance_comment: Mapped[str] = mapped_column(ForeignText(), default="")
    maintenance_cause: Mapped[MaintenanceCause | None] = mapped_column(String(16))
    maintenance_until: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When the maintenance that somebody at the centre has asked for ends by itself."""
    maintenance_by: Mapped[str | None] = mapped_column(ForeignText(250))
    """Who asked for it, at the centre."""
    system: Mapped[dict[str, Any]] = mapped_column(JSON)
    log_request: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """The last request for its own log."""
    silent: Mapped[bool] = mapped_column(default=False)
    """Whether it was not heard from for long although it should be linked."""
    instance: Mapped[UUID | None] = mapped_column(Uuid)
    """Which life of the worker has its key; see `rules.worker`."""
    life: Mapped[UUID | None] = mapped_column(Uuid)
    """Which process of it made the last link."""
    host_name: Mapped[str | None] = mapped_column(ForeignText(256))
    address: Mapped[str | None] = mapped_column(String(100))
    linked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    other_instances: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    """Those that have tried to link meanwhile."""
    question: Mapped[int] = mapped_column(default=0)
    """How often other gateways have asked the one that has the link whether the worker answers there."""
    answered: Mapped[int] = mapped_column(default=0)
    """The last of these questions that was answered."""
    answers_there: Mapped[bool] = mapped_column(default=False)
    """The answer."""
    conditions: Mapped[str] = mapped_column(ForeignText(), default="")
    """Of what it says in `system`: why it takes no new job, and what else is wrong; read of all workers at once."""
    warnings: Mapped[str] = mapped_column(ForeignText(), default="")
    closed: Mapped[str | None] = mapped_column(ForeignText())
    """Its queues that its owner has closed, as `rules.fleet.closing` writes them."""

    def forget_maintenance(self) -> None:
        """Note that it is in none any more."""
        self.maintenance_comment = ""
        self.maintenance_cause = self.maintenance_until = self.maintenance_by = None


class WorkerEventRow(Base):
    """What has happened to a worker, until it is old."""

    __tablename__ = "airflow_edge_worker_event"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    worker_id: Mapped[UUID] = mapped_column(Uuid)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    kind: Mapped[str] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(ForeignText())
    by: Mapped[str | None] = mapped_column(ForeignText(250))


Index("ix_airflow_edge_worker_event_newest", WorkerEventRow.worker_id, WorkerEventRow.id)


class WorkerOrderRow(Base):
    """What a person wanted of a worker, until it is old."""

    __tablename__ = "airflow_edge_worker_order"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    worker_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[OrderKind] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(ForeignText())
    number: Mapped[int | None]
    asked_by: Mapped[str] = mapped_column(ForeignText(250))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    state: Mapped[OrderState] = mapped_column(choice(OrderState))
    detail: Mapped[str] = mapped_column(ForeignText())
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


Index("ix_airflow_edge_worker_order_waiting", WorkerOrderRow.state, WorkerOrderRow.worker_id)


class WorkerMetricRow(Base):
    """Some minutes of a worker's measurements; see `rules.metrics`."""

    __tablename__ = "airflow_edge_worker_metric"

    worker_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    minute: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """The first of them, since 1970."""
    size: Mapped[int] = mapped_column(SmallInteger)
    """How many there are."""
    data: Mapped[bytes] = mapped_column(Blob)


class JobRow(MappedAsDataclass, Base, kw_only=True, repr=False, eq=False):
    """A workload on its way, and for a while after its end."""

    __tablename__ = "airflow_edge_job"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[JobKind] = mapped_column(String(16))
    workload_id: Mapped[UUID] = mapped_column(Uuid, index=True)
    """The id of Airflow's task instance or callback; of a test job its own."""
    dag_id: Mapped[str] = mapped_column(ExactText(AIRFLOW_ID_LENGTH))
    task_id: Mapped[str] = mapped_column(ExactText(AIRFLOW_ID_LENGTH))
    run_id: Mapped[str] = mapped_column(ExactText(AIRFLOW_ID_LENGTH))
    map_index: Mapped[int]
    try_number: Mapped[int]
    queue: Mapped[str] = mapped_column(ExactText(MAX_QUEUE_LENGTH))
    team_name: Mapped[str | None] = mapped_column(ExactText(AIRFLOW_TEAM_LENGTH))
    priority_weight: Mapped[int]
    slots: Mapped[int]
    owner: Mapped[int | None]
    """The id of the scheduler's job in Airflow: the only one that reports on it."""
    log_path: Mapped[str] = mapped_column(LongText, deferred=True)
    """Where Airflow looks for the log, relative to its folder of logs."""
    workload: Mapped[str] = mapped_column(LongText, deferred=True)
    """Airflow's JSON of the workload, without a token; read only when the job is handed out."""
    state: Mapped[JobState] = mapped_column(choice(JobState), default=JobState.QUEUED)
    assignment: Mapped[int] = mapped_column(default=0)
    """The last number given out."""
    worker_id: Mapped[UUID | None] = mapped_column(Uuid, default=None)
    """The worker that has or last had it; of a test job, from the beginning, the one that it is for."""
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    """Until when its worker may answer, for people: whoever puts it back has measured the time itself."""
    released: Mapped[bool] = mapped_column(default=False)
    """Airflow holds the task's state: the worker has its slots back."""
    to_stop: Mapped[bool] = mapped_column(default=False)
    """It was cancelled while a worker held it, and that worker has not said yet that it has ended there."""
    log_complete: Mapped[bool] = mapped_column(default=False)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime, init=False)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    """When its worker accepted it."""
    begun_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    """When Airflow was told that its task runs."""
    calls_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    """Until when its task may call; None while nothing has ended that."""
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    booked_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    """When its scheduler knew of the end for good; a test job, of which none is told, is booked from the beginning."""
    exit_code: Mapped[int | None] = mapped_column(default=None)
    signal: Mapped[int | None] = mapped_column(default=None)
    reason: Mapped[str] = mapped_column(ForeignText(), default="")
    instance: Mapped[UUID | None] = mapped_column(Uuid, default=None)
    """The instance of its worker that holds it, where another one has the worker's key by now; else None."""
    left_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    """When that instance was last seen."""
    offered_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    """When it was handed out under the last number."""
    past: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True), default=None, deferred=True)
    """What became of the numbers before, as far as they are remembered."""

    def give_back(self, event: Undone, text: str, *, now: datetime) -> None:
        """Put it, which is handed out, back into the queue, and remember why."""
        self.past = with_undone(
            self.past,
            assignment=self.assignment,
            worker_id=self.worker_id,
            offered_at=self.offered_at,
            event=event,
            text=text,
            at=now,
        )
        self.state = next_job_state(self.state, GIVES_BACK[event])
        self.lease_until = self.offered_at = self.started_at = None

    @property
    def only_for(self) -> UUID | None:
        """The worker that a test job is for; None for those that wait in a queue."""
        return self.worker_id if self.kind == "test" else None

    @property
    def size(self) -> int:
        """Bytes of the workload, which is read for that."""
        return len(self.workload.encode())


# Reads each queue in the order in which jobs are due, however many wait.
Index(
    "ix_airflow_edge_job_due",
    JobRow.state,
    JobRow.queue,
    JobRow.priority_weight.desc(),
    JobRow.queued_at,
    JobRow.id,
)
# Those that are not booked are few, whoever's they are.
Index("ix_airflow_edge_job_unbooked", JobRow.booked_at, JobRow.owner, JobRow.state)
Index("ix_airflow_edge_job_worker", JobRow.worker_id, JobRow.state)
Index("ix_airflow_edge_job_ended", JobRow.state, JobRow.ended_at)
# The newest ones, in pages, whoever's they are.
Index("ix_airflow_edge_job_queued_at", JobRow.queued_at, JobRow.id)


class EnrollTokenRow(Base):
    """A one-time enrolment token; of its key pair only the public half."""

    __tablename__ = "airflow_edge_enroll_token"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    verify_key: Mapped[str] = mapped_column("secret_hash", String(64), unique=True)
    """Ed25519, hex."""
    queues: Mapped[list[str]] = mapped_column(JSON)
    team_name: Mapped[str | None] = mapped_column(ExactText(AIRFLOW_TEAM_LENGTH))
    name_pattern: Mapped[str | None] = mapped_column(String(250))
    disconnect_grace: Mapped[int | None]
    """Seconds; its workers' own grace."""
    max_slots: Mapped[int | None]
    """How many slots each of its workers may have; None for as many as anybody."""
    uses: Mapped[int | None]
    """For how many workers it was made; None for one of which that was not noted yet."""
    uses_left: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(250))
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CentreKeyRow(Base):
    """One of the centre's keys, with which it signs what makes a site act; the newest one does."""

    __tablename__ = "airflow_edge_centre_key"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    private_key: Mapped[str | None] = mapped_column(String(500))
    """Encrypted with Airflow's fernet; None once another key has come after it."""
    signature: Mapped[bytes | None] = mapped_column(LargeBinary(64))
    """Of the key before, over `protocol.signatures.introduction`; None for the first one."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(ForeignText(250))


class ProcessRow(Base):
    """A scheduler that has our executor, or a gateway, as long as it runs and for some days after."""

    __tablename__ = "airflow_edge_process"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[ProcessKind] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(ForeignText(250))
    pid: Mapped[int]
    version: Mapped[str] = mapped_column(ForeignText(100))
    executors: Mapped[str] = mapped_column(ForeignText())
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class NonceRow(Base):
    """A signed request that was accepted once, until it is too old to be accepted at all."""

    __tablename__ = "airflow_edge_nonce"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class PassedRequestRow(Base):
    """A request of a link by long polling that has met another process than the one that has the link."""

    __tablename__ = "airflow_edge_passed_request"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    asker: Mapped[str] = mapped_column(String(16), index=True)
    """The tag of the gateway that it has met."""
    owner: Mapped[str] = mapped_column(String(16), index=True)
    """The tag of the gateway that has the link."""
    worker_id: Mapped[UUID] = mapped_column(Uuid)
    link: Mapped[str] = mapped_column(String(32))
    token_id: Mapped[str] = mapped_column(ForeignText(64))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    passage: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[bytes] = mapped_column(Blob, deferred=True)
    answer: Mapped[bytes | None] = mapped_column(Blob, deferred=True)


class CallRow(Base):
    """A call of Airflow's Execution API that must not be carried out twice, for as long as there is its job."""

    __tablename__ = "airflow_edge_call"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 (hex) of what is asked, and for which assignment."""
    job_id: Mapped[UUID] = mapped_column(Uuid, index=True)
    status: Mapped[int | None]
    """What Airflow answered; None while that is not known."""
    content_type: Mapped[str] = mapped_column(String(100))
    body: Mapped[bytes] = mapped_column(Blob)
