"""The tables of logs: those of tasks, and workers' own."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from airflow_edge.store.base import Base
from airflow_edge.store.columns import Blob, ForeignText, LongText, UtcDateTime


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
