"""Whether the worker takes jobs: its state, what people have made of it, and when it goes to maintenance by itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from airflow_edge.agent.core.events import (
    Deadline,
    DesiredState,
    DrainAsked,
    ExitAsked,
    MaintenanceAsked,
    StatusFound,
    StopAsked,
    WorkerEventAtSite,
)
from airflow_edge.protocol.messages import MAX_TEXT, MaintenanceCause, Order
from airflow_edge.protocol.states import WORKER_TRANSITIONS, WorkerEvent, WorkerState, next_worker_state

SHUTTING_DOWN: Final = "the worker is shutting down"
IN_MAINTENANCE: Final = "the worker is in maintenance"
NOT_IN_MAINTENANCE: Final = "the worker is not in maintenance"

_MAY_SHUT_DOWN: Final = frozenset(
    state for state, steps in WORKER_TRANSITIONS.items() if WorkerEvent.SHUT_DOWN in steps
) - {WorkerState.STARTING}


ENTER_AT: Final = {"off": None, "warning": logging.WARNING, "error": logging.ERROR}
LEAVE_BELOW: Final = {"off": None, "info": logging.WARNING, "warning": logging.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """When it goes into maintenance by itself. A status is a level of Python's logging; None for never."""

    enter_at: int | None = None
    """From this status on the worker goes into maintenance."""
    leave_below: int | None = None
    """Below this one it leaves a maintenance that it went into by itself."""

    def is_bad(self, status: int) -> bool:
        """Whether this status is a reason for maintenance."""
        return self.enter_at is not None and status >= self.enter_at

    def advise(self, status: int, desired: DesiredState) -> Literal["enter", "leave"] | None:
        """Say what to do in the state as it is; None for nothing."""
        if desired.maintenance is None:
            return "enter" if self.is_bad(status) and not desired.overruled else None
        by_itself = desired.cause == "system"
        # What would bring it back at once is no reason to leave.
        leaves = by_itself and self.leave_below is not None and status < self.leave_below and not self.is_bad(status)
        return "leave" if leaves else None


class WorkerStateMachine:
    """The state of one worker. What changes it says in `changed` and `desired_changed`, until these are reset."""

    def __init__(self, desired: DesiredState, automatic: Automatic | None = None, *, live: bool = True) -> None:
        """:param desired: what the last agent has kept
        :param automatic: when the worker goes into maintenance by itself; never by default
        :param live: whether a job of the last agent is left; a reboot leaves none
        """
        self._automatic = automatic or Automatic()
        self._status = logging.INFO
        self.state = WorkerState.STARTING
        self.desired = desired
        self.changed = False
        self.desired_changed = False
        if not live:
            self._forget_stop()
        self.leaving = self.desired.leaving

    @property
    def over(self) -> bool:
        """Whether the worker was told to go and no job's process is left."""
        return self.state in {WorkerState.OFFLINE, WorkerState.OFFLINE_MAINTENANCE}

    @property
    def in_maintenance(self) -> bool:
        """Whether somebody works on it."""
        return self.desired.maintenance is not None

    @property
    def refusal(self) -> str:
        """Why no job is taken; empty if jobs are taken."""
        if self.leaving:
            return SHUTTING_DOWN
        return IN_MAINTENANCE if self.in_maintenance else ""

    def initialise(self) -> None:
        """The runtime is ready."""
        if self.state is WorkerState.STARTING:
            event = WorkerEvent.INITIALISED_IN_MAINTENANCE if self.in_maintenance else WorkerEvent.INITIALISED
            self._step(event)

    def note(self, event: WorkerEventAtSite) -> None:
        """Take in what somebody at the site wants of the worker, or the machine's status."""
        match event:
            case StatusFound():
                self.note_status(event.status, event.text)
            case MaintenanceAsked():
                self.maintain(event.comment, "site")
            case ExitAsked():
                self.exit_maintenance()
            case DrainAsked():
                self.leave()
            case StopAsked():
                self.stop(event.deadline)

    def leave(self) -> None:
        """Go when no job is left."""
        self.leaving = True

    def stop(self, deadline: Deadline | None = None) -> None:
        """Have whichever agent is there then go when no job is left; see `DesiredState`."""
        self.leave()
        self._keep(msgspec.structs.replace(self.desired, leaving=True, deadline=deadline or self.desired.deadline))

    def note_status(self, status: int, text: str) -> None:
        """Take note of the machine's status, and go into maintenance or leave it where that is a reason to.

        :param status: a level of Python's logging
        """
        self._status = status
        if self.desired.overruled and not self._automatic.is_bad(status):
            self._keep(msgspec.structs.replace(self.desired, overruled=False))
        advice = self._automatic.advise(status, self.desired)
        if advice == "enter":
            said = f"the status is {logging.getLevelName(status).lower()}"
            self.maintain(f"{said}: {text}" if text else said, "system")
        elif advice == "leave":
            self._end_maintenance(overruled=False)

    def maintain(self, comment: str, cause: MaintenanceCause) -> str:
        """Go into maintenance, or change its comment; give the reason why not, if there is one."""
        if self.leaving:
            return SHUTTING_DOWN
        if not self.in_maintenance:
            self._ask(WorkerEvent.MAINTENANCE_ASKED)
        self._keep(msgspec.structs.replace(self.desired, maintenance=comment[:MAX_TEXT], cause=cause))
        return ""

    def exit_maintenance(self) -> str:
        """Leave maintenance, if the worker is in it; give the reason why not, if there is one."""
        if self.leaving:
            return SHUTTING_DOWN
        if not self.in_maintenance:
            # The order may come twice, or after one that it has made pointless: what it is about is so already.
            return ""
        self._end_maintenance(overruled=self._automatic.is_bad(self._status))
        return ""

    def obey(self, order: Order) -> str:
        """Do what the centre passes on, as far as it is about the state; give the reason why not, if there is one."""
        match order.kind:
            case "maintenance":
                return self.maintain(order.text, "admin")
            case "maintenance comment":
                return self.maintain(order.text, "admin") if self.in_maintenance else NOT_IN_MAINTENANCE
            case "exit maintenance":
                return self.exit_maintenance()
            case "shutdown" if self.desired.shut_down != order.order_id:
                if not self.leaving:
                    self._ask(WorkerEvent.SHUTDOWN_ASKED)
                self._keep(msgspec.structs.replace(self.desired, shut_down=order.order_id))
                self.stop()
            case "restart":
                self._keep(msgspec.structs.replace(self.desired, restarted=order.order_id))
            case "concurrency":
                self._keep(msgspec.structs.replace(self.desired, concurrency=order.number))
        return ""

    def follow(self, live: bool) -> None:
        """Bring the state up to the jobs: `live` says whether a job's process is left."""
        while event := self._due(live):
            self._step(event)
        if self.over:
            self._forget_stop()

    def _due(self, live: bool) -> WorkerEvent | None:
        match self.state:
            case WorkerState.STARTING if self.leaving and not live:
                return WorkerEvent.SHUT_DOWN
            case WorkerState.IDLE if live:
                return WorkerEvent.TASK_IN
            case WorkerState.RUNNING | WorkerState.MAINTENANCE_PENDING if not live:
                return WorkerEvent.TASKS_DONE
            case WorkerState.TERMINATING | WorkerState.SHUTDOWN_REQUEST if not live:
                return WorkerEvent.TASKS_DONE_IN_MAINTENANCE if self.in_maintenance else WorkerEvent.TASKS_DONE
            case WorkerState.SHUTDOWN_REQUEST:
                return WorkerEvent.TASKS_LEFT
            case WorkerState.MAINTENANCE_REQUEST | WorkerState.MAINTENANCE_EXIT:
                return WorkerEvent.TASKS_LEFT if live else WorkerEvent.NO_TASK_LEFT
            case state if self.leaving and state in _MAY_SHUT_DOWN:
                return WorkerEvent.SHUT_DOWN
        return None

    def _end_maintenance(self, *, overruled: bool) -> None:
        if self.leaving:
            return
        self._keep(msgspec.structs.replace(self.desired, maintenance=None, cause=None, overruled=overruled))
        self._ask(WorkerEvent.EXIT_ASKED)

    def _ask(self, event: WorkerEvent) -> None:
        """Take a step that a person wants; one that comes before the runtime is ready is taken when it is."""
        if self.state is not WorkerState.STARTING:
            self._step(event)

    def _step(self, event: WorkerEvent) -> None:
        self.state = next_worker_state(self.state, event)
        self.changed = True

    def _forget_stop(self) -> None:
        """It has gone: whoever starts it again wants it back."""
        self._keep(msgspec.structs.replace(self.desired, leaving=False, deadline=None))

    def _keep(self, desired: DesiredState) -> None:
        self.desired_changed = self.desired_changed or desired != self.desired
        self.desired = desired
