"""Jobs come into a queue: for the first time, or back into it. All gateways are told into which, on commit."""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast

import msgspec
from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from airflow_edge.rules.explanation.journey import Undone
from airflow_edge.rules.matching import QueueKey
from airflow_edge.store.tables import JobRow
from airflow_edge.store.transactions import notify

QUEUED: Final = "queued"
"""The notification that jobs were queued, somewhere; and how one that says where begins."""

_JOB_TABLE: Final[Table] = cast("Table", JobRow.__table__)
_IN: Final = f"{QUEUED} "
_NOTIFIED: Final = "airflow_edge_notified"


def add_job(session: Session, job: JobRow, *, now: datetime) -> None:
    """Queue a job with a plain INSERT: it exists if and when the session's transaction is committed."""
    # The session does not get to know the object: it is the scheduler's, which writes what it wants when it wants.
    values = {column.key: getattr(job, column.key) for column in _JOB_TABLE.columns}
    session.execute(insert(_JOB_TABLE).values(values | {"queued_at": now}))
    tell_queued(session, job)


def tell_queued(session: Session, job: JobRow) -> None:
    """Tell the gateways that a job is queued, once per transaction of all jobs that are alike."""
    payload = QUEUED
    if job.kind != "test":
        payload = _IN + msgspec.json.encode((job.team_name, job.queue, job.slots)).decode()
    transaction = session.get_transaction()
    before, said = session.info.get(_NOTIFIED, (None, ()))
    if before is not transaction:
        said = set[str]()
    if payload not in said and notify(session, payload):
        session.info[_NOTIFIED] = (transaction, {*said, payload})


def read_queued(payload: str) -> tuple[QueueKey, int] | None:
    """Give the queue into which jobs have come, and how many slots one of them takes; None if it does not say so."""
    if not payload.startswith(_IN):
        return None
    try:
        team_name, queue, slots = msgspec.json.decode(payload.removeprefix(_IN), type=tuple[str | None, str, int])
    except msgspec.MsgspecError:
        return None
    return QueueKey(team_name, queue), slots


def put_back(session: Session, job: JobRow, event: Undone, text: str, *, now: datetime) -> None:
    """Put a job, which is handed out, back into its queue, and remember why."""
    job.give_back(event, text, now=now)
    tell_queued(session, job)
