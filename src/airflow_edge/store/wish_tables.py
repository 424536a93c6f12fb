"""The tables of what people want besides orders, and of what comes of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Integer, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from airflow_edge.store.base import AIRFLOW_TEAM_LENGTH, MAX_QUEUE_LENGTH, Base
from airflow_edge.store.columns import ExactText, ForeignText, UtcDateTime


class QueuePauseRow(Base):
    """A queue whose jobs are not handed out, until somebody resumes it."""

    __tablename__ = "airflow_edge_queue_pause"

    team_name: Mapped[str] = mapped_column(ExactText(AIRFLOW_TEAM_LENGTH), primary_key=True)
    """Empty for none."""
    queue: Mapped[str] = mapped_column(ExactText(MAX_QUEUE_LENGTH), primary_key=True)
    note: Mapped[str] = mapped_column(ForeignText())
    by: Mapped[str] = mapped_column(ForeignText(250))
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class EnrollAttemptRow(Base):
    """A machine that wanted to become a worker lately, and what it was answered."""

    __tablename__ = "airflow_edge_enroll_attempt"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    name: Mapped[str] = mapped_column(ForeignText(200))
    """That it wanted to have."""
    token_id: Mapped[UUID | None] = mapped_column(Uuid)
    """The token that it had shown, if that is one."""
    result: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(ForeignText())


class RefusalRow(Base):
    """A job that the owner of a worker's machine does not allow there, as long as there is the job."""

    __tablename__ = "airflow_edge_refusal"

    job_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    worker_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    text: Mapped[str] = mapped_column(ForeignText())
    at: Mapped[datetime] = mapped_column(UtcDateTime)
