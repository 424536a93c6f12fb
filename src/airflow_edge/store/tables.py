"""The tables. None is named like one of Airflow's or edge3's; rows come and go independently, hence no foreign keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from airflow_edge.protocol.messages import JobKind, MaintenanceCause, OrderKind
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.orders import OrderState
from airflow_edge.rules.processes import ProcessKind
from airflow_edge.store.columns import Blob, ExactText, ForeignText, LongText, UtcDateTime, choice
from airflow_edge.store.database_schema import database_schema

VERSION_TABLE = "alembic_version_airflow_edge"
"""Where Alembic notes the schema's version."""

AIRFLOW_ID_LENGTH = 250
MAX_QUEUE_LENGTH = 256
"""Characters of a queue's name, as in Airflow's own tables."""
AIRFLOW_TEAM_LENGTH = 50


class Base(DeclarativeBase):
    """The root of the tables, with names for every constraint so that migrations can address them."""

    metadata = MetaData(
        schema=database_schema(),
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        },
    )


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
    version_refused: Mapped[str] = mapped_column(ForeignText(), default="")
    version_warning: Mapped[str] = mapped_column(ForeignText(), default="")
    asked_state: Mapped[WorkerState | None] = mapped_column(choice(WorkerState, 32))
    """What an order that the worker has not obeyed yet has made of its state."""
    maintenance_comment: Mapped[str] = mapped_column(ForeignText(), default="")
    maintenance_cause: Mapped[MaintenanceCause | None] = mapped_column(String(16))
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
    """The id of Airflow's task instance or callback."""
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
    """The worker that has or last had it."""
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
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    booked_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    """When its scheduler knew of the end for good."""
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


class EnrollTokenRow(Base):
    """A one-time enrolment token; of its secret only the hash."""

    __tablename__ = "airflow_edge_enroll_token"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    queues: Mapped[list[str]] = mapped_column(JSON)
    team_name: Mapped[str | None] = mapped_column(ExactText(AIRFLOW_TEAM_LENGTH))
    name_pattern: Mapped[str | None] = mapped_column(String(250))
    disconnect_grace: Mapped[int | None]
    """Seconds; its workers' own grace."""
    uses_left: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(250))
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


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


class LogRow(Base):
    """What one assignment of a job wrote. A log as a person reads it is all of those with its path, oldest first."""

    __tablename__ = "airflow_edge_log"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    path_hash: Mapped[str] = mapped_column(String(64), index=True)
    """SHA-256 (hex) of the path, which may be too long for an index."""
    path: Mapped[str] = mapped_column(LongText)
    job_id: Mapped[UUID] = mapped_column(Uuid)
    assignment: Mapped[int]
    worker_id: Mapped[UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the last of it arrived."""
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    """Bytes received without a gap."""
    expected_size: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes that the site has, if it has said so."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 (hex) of the bytes from `sha256_from` on, verified."""
    sha256_from: Mapped[int] = mapped_column(BigInteger, default=0)
    complete: Mapped[bool] = mapped_column(default=False)
    given_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    purged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(default=0)
    """Grows whenever bytes that are here are laid elsewhere, or dropped."""
    loose: Mapped[int] = mapped_column(default=0)
    """Rows, from `merged` on, that may still be merged into larger ones."""
    merged: Mapped[int] = mapped_column(BigInteger, default=0)
    """Up to here the rows are as large as they get."""
    store_url: Mapped[str | None] = mapped_column(LongText)
    object_key: Mapped[str | None] = mapped_column(LongText)
    """The object in that store that holds the first `object_size` bytes; the others are in rows."""
    object_size: Mapped[int] = mapped_column(BigInteger, default=0)
    upload_url: Mapped[str | None] = mapped_column(LongText)
    upload_key: Mapped[str | None] = mapped_column(LongText)
    """An object that is being written, or was when somebody crashed: nobody reads it."""
    tidy_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When somebody should look after it; whoever does so puts it off first."""
    handover_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it may be handed over to a remote log again; whoever does so puts it off first."""
    handed_over_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the remote log had it."""

    __table_args__ = (UniqueConstraint("job_id", "assignment"),)


Index("ix_airflow_edge_log_age", LogRow.purged_at, LogRow.changed_at)
Index("ix_airflow_edge_log_handover", LogRow.handed_over_at, LogRow.created_at)


class LogChunkRow(Base):
    """A piece of a log, as it arrived or merged; `offset` and `size` are of the plain bytes, `data` is a zstd frame."""

    __tablename__ = "airflow_edge_log_chunk"

    log_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    size: Mapped[int]
    data: Mapped[bytes] = mapped_column(Blob)


class WorkerLogRow(Base):
    """Records of a worker's own log that came together; `data` is as in `messages.WorkerLog`."""

    __tablename__ = "airflow_edge_worker_log"

    worker_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    run: Mapped[str] = mapped_column(ForeignText(64))
    first: Mapped[int] = mapped_column(BigInteger)
    answers: Mapped[str] = mapped_column(ForeignText(64))
    size: Mapped[int]
    """Bytes that it counts for: its data, and something for the row."""
    data: Mapped[bytes] = mapped_column(Blob)
