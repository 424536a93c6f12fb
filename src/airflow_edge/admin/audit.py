"""Airflow's audit log of every change that somebody wanted, at whichever door, and of what came of it."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from airflow.models.log import Log
from airflow.models.taskinstancekey import TaskInstanceKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_edge.admin.config import session
from airflow_edge.rules.explanation.denied import NotedDenial, in_log

log = logging.getLogger(__name__)

Result = Literal["done", "waiting", "refused", "would"]

PREFIX: Final = "edge_worker."
DENIED: Final = "denied"
"""What a call of a task that the policy denies is called."""
LOOK: Final = "worker log"
"""What looking at a worker's own log is called."""
WORKERS_PER_ENTRY: Final = 50
"""MySQL has 64 KiB for an entry's text."""
LONGEST_DETAIL: Final = 200
LONGEST_TEXT: Final = 1000
MOST_NAMED: Final = 20
"""Of a list that somebody has written, like patterns for workers."""
MOST_COUNTED: Final = 2000
"""Entries of a task, in all its runs, that are counted."""
MOST_DENIALS: Final = 200
"""Entries of one try of a task that are read; a gateway process writes a tenth of that, and more only now and then."""

_REFUSED: Final = "refused: "


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOutcome:
    """What came of a wish for one worker."""

    worker: str
    result: Result
    detail: str = ""
    order_id: UUID | None = None
    """The order to ask about while it waits for the worker."""
    job_id: UUID | None = None
    """The test job to ask about."""


@contextmanager
def recorded(event: str, *, by: str, wish: Mapping[str, object]) -> Iterator[list[OrderOutcome]]:
    """Note a change with its outcome, however it ends: what was done before something failed was done all the same.

    :param event: what was wanted, at most 48 characters
    :param by: the user's name
    :param wish: the rest of what was wanted, as far as anything was; nothing secret
    :yields: a list for what came of it for each worker; one without any says whether the whole was done
    """
    outcomes: list[OrderOutcome] = []
    failure = ""
    try:
        yield outcomes
    except KeyboardInterrupt:
        # Whoever does not want to wait has asked.
        raise
    except BaseException as error:
        failure = str(getattr(error, "detail", error)) or type(error).__name__
        raise
    finally:
        with session() as airflow:
            record(airflow, event, by=by, wish=wish, outcomes=outcomes, failure=failure)


def record(
    session: Session,
    event: str,
    *,
    by: str,
    wish: Mapping[str, object],
    outcomes: Sequence[OrderOutcome] = (),
    failure: str = "",
) -> None:
    """Add an entry to Airflow's audit log, or several where there are many workers, and commit.

    :param failure: why not all of it, or nothing, was done
    """
    said = {name: _bounded(value) for name, value in wish.items() if value or value == 0}
    if failure or not outcomes:
        said["outcome"] = f"{_REFUSED}{_bounded(failure)}" if failure else "done"
    for first in range(0, max(1, len(outcomes)), WORKERS_PER_ENTRY):
        some = outcomes[first : first + WORKERS_PER_ENTRY]
        came_of_it = {one.worker: f"{one.result}: {one.detail[:LONGEST_DETAIL]}".rstrip(": ") for one in some}
        extra = json.dumps({**said, **({"workers": came_of_it} if some else {})}, ensure_ascii=False)
        session.add(Log(event=f"{PREFIX}{event}", owner=by, owner_display_name=by, extra=extra))
    session.commit()


def look_noted(opening: UUID, worker: str, *, by: str, level: int, since: datetime) -> bool:
    """Say whether somebody's look at a worker's log, so named, is in the audit log: who goes on with it needs no other.

    :param level: the least that is looked at now; one that is lower is another look
    :param since: the entry is not older
    """
    query = select(Log.extra).where(
        Log.event == f"{PREFIX}{LOOK}", Log.owner == by, Log.dttm >= since, Log.extra.contains(opening.hex)
    )
    with session() as airflow:
        entries = [json.loads(extra) for extra in airflow.scalars(query) if extra]
    return any(
        said.get("opening") == opening.hex and said.get("level", 0) <= level and worker in said.get("workers", ())
        for said in entries
    )


class TaskTry(Protocol):
    """A try of a task; of a callback, one without a task."""

    @property
    def dag_id(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def map_index(self) -> int: ...
    @property
    def try_number(self) -> int: ...


def note_denial(of: TaskTry, sentence: str, *, by: str, wish: Mapping[str, object]) -> None:
    """Add that a call of a task was denied to Airflow's audit log, unless it is there.

    :param wish: what it would have taken, and of what; no value
    """
    said = {name: _bounded(value) for name, value in wish.items()}
    with session() as airflow:
        # The policy may be another one by now: it is the same denial.
        what = {name: said[name] for name in ("grant", "name", "more") if name in said}
        if any(what.items() <= entry.items() for _, entry in _denials(airflow, of)):
            return
        extra = json.dumps({**said, "outcome": f"{_REFUSED}{_bounded(sentence)}"}, ensure_ascii=False)
        entry = Log(event=f"{PREFIX}{DENIED}", owner=by, owner_display_name=by, extra=extra)
        entry.dag_id, entry.run_id, entry.task_id = of.dag_id, of.run_id, of.task_id or None
        entry.map_index, entry.try_number = of.map_index, of.try_number
        airflow.add(entry)
        airflow.commit()


def denials(of: TaskTry) -> list[NotedDenial]:
    """Give what a try of a task was denied, as the audit log has it, oldest first."""
    with session() as airflow:
        return [
            NotedDenial(
                at=at,
                sentence=str(said.get("outcome", "")).removeprefix(_REFUSED),
                kind=str(said.get("grant", "")),
                name=str(said.get("name", "")),
                more=int(said.get("more", 0)),
            )
            for at, said in _denials(airflow, of)
        ]


def tries_denied(of: TaskTry) -> dict[tuple[str, str], int]:
    """Give in how many tries its task was denied what, in all runs, by grant and name; nothing if they are too many."""
    tries: defaultdict[tuple[str, str], set[tuple[object, ...]]] = defaultdict(set)
    query = (
        select(Log.run_id, Log.map_index, Log.try_number, Log.extra)
        .where(Log.dag_id == of.dag_id, Log.task_id == (of.task_id or None), Log.event == f"{PREFIX}{DENIED}")
        .limit(MOST_COUNTED)
    )
    with session() as airflow:
        rows = airflow.execute(query).all()
    for *which, extra in rows if len(rows) < MOST_COUNTED else ():
        said = json.loads(extra or "{}")
        # Two gateways may have noted the same.
        tries[str(said.get("grant", "")), str(said.get("name", ""))].add(tuple(which))
    return {what: len(those) for what, those in tries.items()}


def denied_in_log(ti: Any, try_number: int | None = None) -> tuple[str, ...]:
    """Say in its log what the policy has denied a try of a task: the task itself may have said nothing of it.

    :param ti: the task instance, or one of its former tries
    :param try_number: which try it is; None for that which `ti` is at
    """
    try:
        of = TaskInstanceKey(ti.dag_id, ti.task_id, ti.run_id, try_number or ti.try_number, ti.map_index)
        return tuple(in_log(denials(of)))
    # The log is shown all the same.
    except Exception:
        log.exception("What the policy denied %s could not be found out", ti)
        return ()


def _denials(airflow: Session, of: TaskTry) -> list[tuple[datetime, dict[str, Any]]]:
    query = (
        select(Log.dttm, Log.extra)
        .where(
            Log.dag_id == of.dag_id,
            Log.task_id == (of.task_id or None),
            Log.run_id == of.run_id,
            Log.map_index == of.map_index,
            Log.try_number == of.try_number,
            Log.event == f"{PREFIX}{DENIED}",
        )
        .order_by(Log.id)
        .limit(MOST_DENIALS)
    )
    return [(at, json.loads(extra)) for at, extra in airflow.execute(query) if at and extra]


def _bounded(value: object) -> object:
    """Cut what somebody has written, of whatever form, to what an entry has room for."""
    if isinstance(value, list | tuple):
        return [_text(one) for one in value[:MOST_NAMED]] + (["…"] if len(value) > MOST_NAMED else [])
    return value if value is None or isinstance(value, bool | int | float) else _text(value)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
