"""The tables of the policy: its versions, and what tasks have asked for."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from airflow_edge.rules.policy.suggesting import NOTED_LENGTH
from airflow_edge.store.base import AIRFLOW_ID_LENGTH, AIRFLOW_TEAM_LENGTH, MAX_QUEUE_LENGTH, Base
from airflow_edge.store.columns import ExactText, ForeignText, LongText, UtcDateTime


class PolicyRow(Base):
    """A version of the policy. The one with the greatest number is in force; none is ever changed or deleted."""

    __tablename__ = "airflow_edge_policy"

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(LongText, deferred=True)
    """As it was given: JSON, YAML or TOML, with its comments."""
    note: Mapped[str] = mapped_column(ForeignText())
    by: Mapped[str] = mapped_column(ForeignText(250))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class PolicyUseRow(Base):
    """How often a task has asked for something on a day (UTC), and been given it or not."""

    __tablename__ = "airflow_edge_policy_use"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 (hex) of all that names it, which is too long for a key."""
    day: Mapped[date] = mapped_column(Date, index=True)
    team_name: Mapped[str] = mapped_column(ExactText(AIRFLOW_TEAM_LENGTH))
    """Empty for none."""
    queue: Mapped[str] = mapped_column(ExactText(MAX_QUEUE_LENGTH))
    dag_id: Mapped[str] = mapped_column(ExactText(AIRFLOW_ID_LENGTH))
    task_id: Mapped[str] = mapped_column(ExactText(AIRFLOW_ID_LENGTH))
    kind: Mapped[str] = mapped_column(String(32))
    """What it would take to be granted; `route` for a call that nobody knows."""
    name: Mapped[str] = mapped_column(ExactText(NOTED_LENGTH))
    allowed: Mapped[int] = mapped_column(BigInteger)
    denied: Mapped[int] = mapped_column(BigInteger)
    """Or would have been, where the policy is only reported on."""
    refused: Mapped[int] = mapped_column(BigInteger)
    """How many of those were really denied: the mode of that moment was `enforce`."""
