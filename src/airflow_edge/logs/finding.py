"""Which of a task's logs are ours: what workers have sent, and those of tasks that name a worker as their host."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from sqlalchemy.exc import OperationalError, ProgrammingError

from airflow_edge.rules.logs.lines import first_bytes
from airflow_edge.rules.logs.log_notices import LogPart, missing, nothing_yet, origin, refused_by
from airflow_edge.rules.worker import Worker

if TYPE_CHECKING:
    from airflow_edge.store.store import Store
    from airflow_edge.store.transactions import SessionFactory

log = logging.getLogger(__name__)

_WAITS: Final = frozenset({None, "scheduled", "queued"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLog:
    """The log of a task at the edge, as far as it is known.

    There may be no part of it yet, but then there is a worker, or one has refused the task.

    A part whose bytes were deleted is still one.
    """

    parts: tuple[LogPart, ...]
    worker: Worker | None
    refusals: tuple[str, ...] = ()
    """Who has refused the task for good, and why."""
    denied: tuple[str, ...] = ()
    """What the policy has denied the task."""

    @property
    def origins(self) -> list[str]:
        """Say where it is from. There is always a line: without one, Airflow tries to reach the worker's machine."""
        return [origin(part) for part in self.parts] or ["From an edge worker"]

    @property
    def notices(self) -> list[str]:
        """Say who has refused the task, what the policy denied, what is missing, and why."""
        said = [nothing_yet(self.worker)] if self.worker is not None else [missing(part) for part in self.parts]
        return [*map(refused_by, self.refusals), *self.denied, *(text for text in said if text is not None)]

    @property
    def is_purged(self) -> bool:
        """Say whether all of it was deleted here because of its age."""
        return bool(self.parts) and all(part.purged_at is not None for part in self.parts)


def open_store() -> Store:
    """Give the store on Airflow's database."""
    from airflow import settings

    from airflow_edge.store.store import Store

    return Store(lambda: cast("SessionFactory", settings.NonScopedSession)())


def read_part(store: Store, part: LogPart, offset: int = 0) -> Iterator[bytes]:
    """Give the bytes of a part from there on; those that cannot be read are replaced by a line that says so."""
    from airflow_edge.store.logs.logs import LogUnreadableError

    try:
        yield from first_bytes(store.logs.read(part.id, offset), part.size - offset)
    except LogUnreadableError as error:
        text = f"The rest of this log from worker '{part.worker_name}' cannot be read: {error}"
        yield b"\n" + msgspec.json.encode({"level": "error", "event": text}) + b"\n"


def find_log(store: Store, relative_path: str, ti: Any, try_number: int | None = None) -> EdgeLog | None:
    """Find the log with this path; None if it is not of an edge worker, or if our tables are not those of this version.

    Then the logs of other executors' tasks are read all the same.

    :param try_number: which try's log it is; None for that which `ti` is at
    """
    try:
        parts = store.logs.parts(relative_path)
        refusals = tuple(store.refusals.of_log(relative_path))
    except (OperationalError, ProgrammingError):
        log.exception("The logs of tasks at the edge cannot be read; `airflow edge check` may say why")
        return None
    if parts or refusals:
        return EdgeLog(parts=tuple(parts), worker=None, refusals=refusals, denied=_denied(ti, try_number))
    hostname = getattr(ti, "hostname", None)
    # A worker may be called like the machine on which another executor runs tasks.
    if not hostname or not _is_edge_executor(getattr(ti, "executor", None)):
        return None
    worker = store.workers.named(hostname)
    return None if worker is None else EdgeLog(parts=(), worker=worker, denied=_denied(ti, try_number))


def waits_at_the_edge(ti: Any, try_number: int) -> bool:
    """Say whether this is the newest try of a task that an edge worker is to run, and that has not begun."""
    newest = ti.try_number == try_number
    return newest and ti.state in _WAITS and _is_edge_executor(getattr(ti, "executor", None))


def explanation_of(store: Store, ti: Any) -> str:
    """Say why a task is not running."""
    from airflow_edge.admin.explaining import explain_task

    try:
        return explain_task(store, ti.dag_id, ti.run_id, ti.task_id, ti.map_index).sentence
    # It is read for a log, which is shown all the same.
    except Exception as error:
        log.exception("Why %s waits could not be found out", ti)
        return f"Why it waits could not be found out ({type(error).__name__}); the API server's log says more."


def _denied(ti: Any, try_number: int | None) -> tuple[str, ...]:
    from airflow_edge.admin.audit import denied_in_log

    return denied_in_log(ti, try_number)


def _is_edge_executor(executor: str | None) -> bool:
    """Say whether a task that names this executor, or none, runs at the edge."""
    from airflow.executors.executor_loader import ExecutorLoader

    if executor is None:
        return ExecutorLoader.get_default_executor_name().module_path.startswith("airflow_edge.")
    return any(
        name.module_path.startswith("airflow_edge.")
        for name in ExecutorLoader.get_executor_names(validate_teams=False)
        if executor in {name.alias, name.module_path, name.module_path.rpartition(".")[2]}
    )
