"""Which tasks are before one in its Dag, as Airflow knows it: asked once a job, read once a version of the Dag."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from threading import Lock
from time import monotonic
from typing import Final, Generic, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from airflow_edge.admin import airflow_facts
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.store.transactions import SessionFactory

log = logging.getLogger(__name__)

Key = TypeVar("Key")
Found: TypeAlias = Collection[str] | None
"""Ids of tasks; None if it cannot be known."""

MOST_KEPT: Final = 10_000
MOST_UNKNOWN: Final = 60.0
"""Seconds for which it is not asked again what could not be found out."""


class UpstreamTasks:
    """What one gateway process knows of it."""

    def __init__(
        self,
        sessions: SessionFactory,
        calls: StoreCalls,
        version_of: Callable[[Session, UUID], tuple[UUID, str] | None] = airflow_facts.version_of_task,
        upstream_of: Callable[[Session, UUID, str], Found] = airflow_facts.upstream_of,
    ) -> None:
        """:param sessions: give Airflow's database"""
        self._sessions = sessions
        self._calls = calls
        self._version_of = version_of
        self._upstream_of = upstream_of
        self._of_tasks = _LastFound[UUID]()
        self._of_versions = _LastFound[tuple[UUID, str]]()

    async def of(self, task_instance_id: UUID) -> Found:
        """Give all tasks before that of a task instance; None if it cannot be known now."""
        try:
            return self._of_tasks[task_instance_id]
        except KeyError:
            pass
        try:
            found = await self._calls.run(self._look, task_instance_id)
        except StoreUnavailableError:
            found = None
        self._of_tasks[task_instance_id] = found
        return found

    def _look(self, task_instance_id: UUID) -> Found:
        with self._sessions() as session:
            version = self._version_of(session, task_instance_id)
            if version is None:
                return None
            try:
                return self._of_versions[version]
            except KeyError:
                pass
            try:
                found = self._upstream_of(session, *version)
            # A Dag that this Airflow cannot read, whatever the reason: then it grants nothing, and all else goes on.
            except (LookupError, TypeError, ValueError, AttributeError):
                log.exception("The Dag of version %s cannot be read", version[0])
                found = None
            self._of_versions[version] = found
            return found


class _LastFound(Generic[Key]):
    """What was found, until there is too much of it; the oldest goes first."""

    def __init__(self) -> None:
        self._found: dict[Key, tuple[float, Found]] = {}
        # Several threads look at once.
        self._lock = Lock()

    def __getitem__(self, key: Key) -> Found:
        """:raises KeyError: it has to be looked."""
        at, found = self._found[key]
        if found is None and monotonic() - at > MOST_UNKNOWN:
            raise KeyError(key)
        return found

    def __setitem__(self, key: Key, found: Found) -> None:
        with self._lock:
            self._found[key] = monotonic(), found
            if len(self._found) > MOST_KEPT:
                del self._found[next(iter(self._found))]
