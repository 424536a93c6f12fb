"""What may be asked of a worker in which state, and what it makes of it before the worker has obeyed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from airflow_edge.protocol.enrolment import ANEW
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
    """What a person wants of a worker; `text` is a comment or a name, `number` a number of slots.

    `until` is when a maintenance ends by itself; None for never.
    """

    kind: OrderKind
    text: str = ""
    number: int | None = None
    until: datetime | None = None


class AlreadySoError(Exception):
    """What is wanted is so already, or has been asked for: nothing was changed, and nothing has to be."""


def effect(
    state: WorkerState, kind: OrderKind, *, revoked: bool, comment_changes: bool = False
) -> tuple[WorkerState, WorkerState | None]:
    """Say what an order makes of a worker in this state: its state then, and the one that is asked of it, if any.

    A worker that is offline obeys when it comes back; until then it has the state that it will have then.

    :param comment_changes: the maintenance that is asked for has another comment than the one that is, or another end
    :raises AlreadySoError: it is so already.
    :raises IllegalTransitionError: the order makes no sense in this state, or the worker is revoked.
    """
    if revoked:
        raise IllegalTransitionError(f"it is revoked; enrol it anew at its site: {ANEW}")
    if so := _ALREADY.get(kind, {}).get(state):
        if kind == "maintenance" and comment_changes:
            return state, None
        raise AlreadySoError(so)
    if refusal := _REFUSALS.get(kind, {}).get(state):
        raise IllegalTransitionError(refusal)
    if kind in _EVENTS:
        return next_worker_state(state, _EVENTS[kind]), ASKED_STATES[kind]
    if kind == "maintenance comment" and state not in MAINTENANCE:
        raise IllegalTransitionError(
            "it is not in maintenance; ask for that first: airflow edge remote-edge-worker-request-maintenance"
        )
    return state, None


_STARTING: Final = "it is starting; ask again in a moment"
_ENDING: Final = "it is shutting down"
_ENDING_SOON: Final = dict.fromkeys((WorkerState.SHUTDOWN_REQUEST, WorkerState.TERMINATING), _ENDING)
_GONE: Final = (WorkerState.OFFLINE, WorkerState.OFFLINE_MAINTENANCE)

_ALREADY: Final[Mapping[OrderKind, Mapping[WorkerState, str]]] = {
    "maintenance": {
        **dict.fromkeys(MAINTENANCE, "it is in maintenance already"),
        WorkerState.MAINTENANCE_REQUEST: "it was asked to already",
    },
    "exit maintenance": {
        **dict.fromkeys((WorkerState.IDLE, WorkerState.RUNNING, WorkerState.OFFLINE), "it is not in maintenance"),
        WorkerState.MAINTENANCE_EXIT: "it was asked to already",
    },
    "shutdown": {
        **dict.fromkeys(_GONE, "it is offline already"),
        WorkerState.SHUTDOWN_REQUEST: "it was asked to already",
        WorkerState.TERMINATING: "it is shutting down already",
    },
}
"""Where an order finds what it wants."""
_REFUSALS: Final[Mapping[OrderKind, Mapping[WorkerState, str]]] = {
    "maintenance": {WorkerState.STARTING: _STARTING, **_ENDING_SOON},
    "exit maintenance": {
        WorkerState.STARTING: _STARTING,
        **dict.fromkeys(_ENDING_SOON, f"{_ENDING}; ask again when it is offline"),
    },
    "restart": {**_ENDING_SOON, **dict.fromkeys(_GONE, "it is offline: start it at its site (airflow-edge worker)")},
}
"""Where an order makes no sense, and what to do instead."""
EXIT_REFUSED: Final = frozenset(_REFUSALS["exit maintenance"])
"""States in which a worker cannot be told to leave maintenance."""
