"""What may be asked of a worker in which state, and what it makes of it before the worker has obeyed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.messages import OrderKind
from airflow_edge.protocol.states import MAINTENANCE, WorkerEvent, WorkerState, next_worker_state

_EVENTS: Final[Mapping[OrderKind, WorkerEvent]] = {
    "maintenance": WorkerEvent.MAINTENANCE_ASKED,
    "exit maintenance": WorkerEvent.EXIT_ASKED,
    "shutdown": WorkerEvent.SHUTDOWN_ASKED,
}
ASKED_STATES: Final[Mapping[OrderKind, WorkerState]] = {
    "maintenance": WorkerState.MAINTENANCE_REQUEST,
    "exit maintenance": WorkerState.MAINTENANCE_EXIT,
    "shutdown": WorkerState.SHUTDOWN_REQUEST,
}
"""The state that an order gives a worker which has not answered it; of the first two at most one waits."""
RIVALS: Final[Mapping[OrderKind, frozenset[OrderKind]]] = {
    "maintenance": frozenset({"maintenance", "exit maintenance", "maintenance comment"}),
    "exit maintenance": frozenset({"maintenance", "exit maintenance", "maintenance comment"}),
    "maintenance comment": frozenset({"maintenance comment"}),
    "shutdown": frozenset({"shutdown", "restart"}),
    "restart": frozenset({"restart"}),
    "rename": frozenset({"rename"}),
    "concurrency": frozenset({"concurrency"}),
}
"""Orders that wait for the worker and that a later one makes pointless."""


class OrderState(StrEnum):
    """What became of an order to a worker."""

    WAITING = "waiting"
    """For the worker, linked or not."""
    DONE = "done"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    """A later one of its kind took its place before the worker got it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrder:
    """Something a person wants of a worker, and what became of it."""

    id: UUID
    worker_id: UUID
    kind: OrderKind
    text: str
    number: int | None
    asked_by: str
    asked_at: datetime
    state: OrderState
    detail: str = ""
    """Why it was refused, or what there is to say of it."""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of a worker; `text` is a comment or a name, `number` a number of slots."""

    kind: OrderKind
    text: str = ""
    number: int | None = None


def effect(state: WorkerState, kind: OrderKind, *, revoked: bool) -> tuple[WorkerState, WorkerState | None]:
    """Say what an order makes of a worker in this state: its state then, and the one that is asked of it, if any.

    A worker that is offline obeys when it comes back; until then it has the state that it will have then.

    :raises IllegalTransitionError: the order makes no sense in this state, or the worker is revoked.
    """
    if revoked:
        raise IllegalTransitionError(f"'{kind}' is not possible: the worker is revoked")
    if kind in _EVENTS:
        return next_worker_state(state, _EVENTS[kind]), ASKED_STATES[kind]
    if kind == "maintenance comment" and state not in MAINTENANCE:
        raise IllegalTransitionError(f"'{kind}' is not possible in state '{state}': the worker is not in maintenance")
    if kind == "restart" and state in {WorkerState.OFFLINE, WorkerState.OFFLINE_MAINTENANCE}:
        raise IllegalTransitionError(f"'{kind}' is not possible in state '{state}': start the worker at its site")
    if kind == "restart" and state in {WorkerState.SHUTDOWN_REQUEST, WorkerState.TERMINATING}:
        raise IllegalTransitionError(f"'{kind}' is not possible in state '{state}': the worker is shutting down")
    return state, None
