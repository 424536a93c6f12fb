"""Airflow's own tables, as far as the store needs them: the only place that knows them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Engine,
    Integer,
    Select,
    String,
    Uuid,
    column,
    inspect,
    select,
    table,
    true,
    update,
)
from sqlalchemy.orm import Session

from airflow_edge.store.columns import UtcDateTime, batches
from airflow_edge.store.database_schema import database_schema

# Only what is needed of `airflow.models.taskinstance.TaskInstance`, so that the store runs without Airflow. A row's id
# is new on every try; a deferral and a reschedule keep it. A running task that is cleared has a new one at once, but
# from Airflow 3.4 on not until its process has ended.
TASK_INSTANCE: Final = table(
    "task_instance",
    column("id", Uuid()),
    column("dag_id", String()),
    column("task_id", String()),
    column("run_id", String()),
    # Only where they are not.
    column("map_index", Integer()),
    column("try_number", Integer()),
    column("state", String()),
    column("queued_by_job_id", Integer()),
    column("last_heartbeat_at", UtcDateTime()),
    # Only where former tries are kept.
    column("working_set", Boolean()),
    schema=database_schema(),
)
_KEEPS_FORMER_TRIES: Final[WeakKeyDictionary[Engine, bool]] = WeakKeyDictionary()

_JOB: Final = table(
    "job",
    column("id", Integer()),
    column("job_type", String()),
    column("state", String()),
    schema=database_schema(),
)

WANTED: Final = frozenset({"queued", "running"})
"""The states in which Airflow wants a task instance's process to be there."""

ADOPTABLE: Final = frozenset({"queued", "running", "restarting"})
"""The states of the task instances that Airflow has another scheduler adopt when theirs is gone."""

FRESH_FOR: Final = timedelta(seconds=30)
"""A heartbeat younger than this is not refreshed."""


@dataclass(frozen=True, slots=True)
class TaskInstanceState:
    """How Airflow holds a task instance."""

    state: str | None
    queued_by: int | None
    """The id of the scheduler's job that queued it last, or adopted it."""


def running_schedulers() -> Select[int]:
    """Select the ids by which schedulers that run own jobs."""
    return select(_JOB.c.id).where(_JOB.c.job_type == "SchedulerJob", _JOB.c.state == "running")


def keeps_former_tries(session: Session) -> bool:
    """Say whether Airflow leaves the former tries of a task in its table, as it does from 3.4 on."""
    engine = session.get_bind().engine
    if engine not in _KEEPS_FORMER_TRIES:
        names = {
            found["name"]
            for found in inspect(session.connection()).get_columns(TASK_INSTANCE.name, TASK_INSTANCE.schema)
        }
        _KEEPS_FORMER_TRIES[engine] = TASK_INSTANCE.c.working_set.name in names
    return _KEEPS_FORMER_TRIES[engine]


def is_latest_try(session: Session) -> ColumnElement[bool]:
    """Give the condition under which a row of `TASK_INSTANCE` is there as far as Airflow itself is concerned."""
    return TASK_INSTANCE.c.working_set.is_(True) if keeps_former_tries(session) else true()


def states_of(session: Session, ids: Collection[UUID]) -> dict[UUID, TaskInstanceState]:
    """Give the states of the task instances with these ids; one that is not there has no row any more."""
    states: dict[UUID, TaskInstanceState] = {}
    for some in batches(ids):
        query = select(TASK_INSTANCE.c.id, TASK_INSTANCE.c.state, TASK_INSTANCE.c.queued_by_job_id).where(
            TASK_INSTANCE.c.id.in_(some), is_latest_try(session)
        )
        states.update((id_, TaskInstanceState(state, queued_by)) for id_, state, queued_by in session.execute(query))
    return states


def refresh_heartbeats(session: Session, ids: Collection[UUID], *, now: datetime) -> int:
    """Say that these running task instances are alive; give how many needed it.

    Rows that somebody has locked are left out: whoever has them is at work on them anyway.
    """
    refreshed = 0
    for some in batches(sorted(ids)):
        stale = (
            TASK_INSTANCE.c.id.in_(some),
            TASK_INSTANCE.c.state == "running",
            TASK_INSTANCE.c.last_heartbeat_at < now - FRESH_FOR,
        )
        found = list(session.scalars(select(TASK_INSTANCE.c.id).where(*stale).with_for_update(skip_locked=True)))
        if found:
            session.execute(update(TASK_INSTANCE).where(TASK_INSTANCE.c.id.in_(found)).values(last_heartbeat_at=now))
            refreshed += len(found)
    return refreshed
