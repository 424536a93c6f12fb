"""An enrolled worker, as the centre knows it, and which of several processes with its key it is: a key is one instance.

An *instance* is one life of a worker on one machine; restarts, reboots and upgrades belong to it, a copy of its state
folder on another machine does not. A *life* is one process of it. Who has the key keeps it for as long as it is alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final
from uuid import UUID

from airflow_edge.protocol.enrolment import ANEW
from airflow_edge.protocol.messages import MaintenanceCause
from airflow_edge.protocol.states import WorkerState

CONDITIONS = "conditions"
WARNINGS = "warnings"
PYTHON = "python_version"
"""Among a worker's facts: why it takes no new job, in words, empty if it does; what else is wrong; its Python."""

DEFAULT_MAX_SLOTS: Final = 256
"""Slots that a worker may have where its enrolment token says nothing else."""
MOST_OTHERS: Final = 50
"""Other instances that are remembered of one worker; each has a copy of its key."""
TRIES_AGAIN: Final = timedelta(minutes=2)
"""One that has not tried for so long has stopped: they try every half minute or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """Somebody at the centre wants to see a worker's own log."""

    id: str
    until: datetime
    level: int
    """The least level; the numbers are those of `logging`."""
    lines: int
    """How many past records to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """An enrolled worker."""

    id: UUID
    name: str
    public_key: bytes
    """32 bytes, Ed25519."""
    queues: tuple[str, ...]
    """The queues it may serve: the centre's word, not the worker's wish."""
    asked_queues: tuple[str, ...] | None = None
    """Those that it was started for; None for all that it may serve."""
    added_queues: tuple[str, ...] = ()
    """Those that an administrator has added since it was enrolled: it serves them whatever it was started for."""
    team_name: str | None
    state: WorkerState
    concurrency: int
    enrolled_at: datetime
    last_seen_at: datetime | None
    revoked_at: datetime | None
    boot_id: str | None
    link_id: UUID | None
    """The link that counts now; an older one of the same worker is closed."""
    silent: bool = False
    """It is out of reach, as its gateway or another one has noted, whatever its state says was asked of it.

    A gateway has measured it: nobody else need compare clocks.
    """
    enroll_token_id: UUID | None = None
    """The token that it was enrolled with; None for the shared secret."""
    transport: str | None
    """What carries that link, or carried the last one, for people."""
    agent_version: str | None
    airflow_version: str | None
    protocol: int | None = None
    """The version of the protocol that is spoken with it; None if that is not known."""
    asked_state: WorkerState | None = None
    """What the centre has asked of it and it has not obeyed yet: one of `protocol.states.REQUESTS`."""
    maintenance_comment: str = ""
    maintenance_cause: MaintenanceCause | None = None
    """Who put it into the maintenance that it is in."""
    maintenance_until: datetime | None = None
    """When that ends by itself; None for never."""
    maintenance_by: str | None = None
    """Who asked for it at the centre."""
    version_refused: str = ""
    """Why its versions get no jobs; empty if they do."""
    version_warning: str = ""
    """What is odd about its versions; empty for nothing."""
    system: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    log_request: LogRequest | None = None
    """The last request for its own log, over or not."""
    disconnect_grace: timedelta | None = None
    """How long its jobs are waited for while it is out of reach, where it has a grace of its own."""
    max_slots: int | None = None
    """How many slots it may have, however many it says it has; None for `DEFAULT_MAX_SLOTS`."""
    gateway_id: str | None = None
    host_name: str | None = None
    """The machine that linked last."""
    address: str | None = None
    """Where it called from, as far as the gateway sees."""
    linked_at: datetime | None = None
    instance: UUID | None = None
    """Which life of it has its key; None if it is too old to say."""
    question: int = 0
    """How often other gateways have asked its own whether it answers there."""
    answered: int = 0
    other_instances: tuple[OtherInstance, ...] = ()
    """Those that have tried to link with its key while it was alive."""

    def slots_of(self, concurrency: int) -> int:
        """Give how many slots are counted with of those that it says it has."""
        return min(concurrency, self.max_slots or DEFAULT_MAX_SLOTS)

    @property
    def served_queues(self) -> tuple[str, ...]:
        """The queues whose jobs it is given."""
        asked = self.asked_queues
        return tuple(name for name in self.queues if asked is None or name in asked or name in self.added_queues)


class Admission(Enum):
    """What becomes of a process that wants to link."""

    ENTER = auto()
    ASK = auto()
    """It says that it is the same instance, begun anew: that is so unless whoever has the key answers."""
    REFUSE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who has a worker's key, as noted when it linked."""

    link_id: UUID | None
    instance: UUID | None = None
    life: UUID | None = None
    """None for one that is too old to answer, or to say who it is."""
    gone: bool = False
    """It has said goodbye, or was silent for so long that it is out of reach."""
    gateway_id: str | None = None
    host_name: str = ""
    address: str = ""
    since: datetime | None = None

    def __str__(self) -> str:
        return place(self.host_name, self.address)


def judge_instance(
    holder: Holder, *, instance: UUID | None, life: UUID | None, last_link: str = "", dead_link: UUID | None = None
) -> Admission:
    """Say what becomes of a process, given who has the key.

    :param instance: which it says it is; `life`: which process; None for one that is too old to say
    :param last_link: the newest of them that its state folder knows of
    :param dead_link: a link that was asked and gave no answer, or that was seen to have ended
    """
    if holder.link_id is None or holder.gone or holder.life is None:
        return Admission.ENTER
    comes_from_there = last_link == str(holder.link_id)
    if holder.life == life and comes_from_there:
        return Admission.ENTER
    if instance and holder.instance and holder.instance != instance:
        # Not at once where its link has just broken: it comes back in a moment, and has tasks.
        return Admission.REFUSE
    if holder.link_id != dead_link:
        return Admission.ASK
    # A new process that knows of an older link only may have a copy of the state folder, as it was then. The same one
    # has not heard its last welcome.
    return Admission.ENTER if comes_from_there or life in {None, holder.life} else Admission.REFUSE


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherInstance:
    """One that has tried to link with the key of a worker that is alive."""

    instance: str
    host_name: str
    address: str
    last_tried_at: datetime

    def __str__(self) -> str:
        return place(self.host_name, self.address)


def with_other(others: Sequence[Mapping[str, Any]], other: OtherInstance) -> list[dict[str, Any]]:
    """Give the list of those who have tried, as it is stored, with one more, the newest last."""
    entry = {
        "instance": other.instance,
        "host_name": other.host_name,
        "address": other.address,
        "last_tried_at": other.last_tried_at.isoformat(),
    }
    kept = [dict(one) for one in others if one["instance"] != other.instance]
    return [*kept, entry][-MOST_OTHERS:]


def read_others(others: Iterable[Mapping[str, Any]] | None) -> tuple[OtherInstance, ...]:
    """Read the list of those who have tried, as it is stored."""
    return tuple(
        OtherInstance(**{**one, "last_tried_at": datetime.fromisoformat(one["last_tried_at"])}) for one in others or ()
    )


def trying(others: Iterable[OtherInstance], now: datetime) -> list[OtherInstance]:
    """Give those who still try, the newest first."""
    return sorted(
        (one for one in others if now - one.last_tried_at < TRIES_AGAIN),
        key=lambda one: one.last_tried_at,
        reverse=True,
    )


def describe_others(others: Sequence[OtherInstance]) -> str:
    """Say that others try, for people; empty if none does.

    :param others: those who still try, the newest first
    """
    if not others:
        return ""
    tried = "another machine tries" if len(others) == 1 else f"{len(others)} other machines try"
    return (
        f"{tried} to use this worker's key, last {others[0]} at {others[0].last_tried_at:%Y-%m-%d %H:%M:%S} UTC: its "
        f"state folder was copied; enrol each machine by itself (there: {ANEW})"
    )


def refusal_of_other(holder: Holder) -> str:
    """Say to another instance why it is refused, and what to do."""
    since = f" since {holder.since:%Y-%m-%d %H:%M:%S} UTC" if holder.since else ""
    return (
        f"another machine uses this worker's key{since}: {holder}; a key is for one machine: enrol this one by itself "
        f"({ANEW}), or end the worker there"
    )


def place(host_name: str, address: str) -> str:
    """Name a machine, as far as it is known."""
    known = " at ".join(part for part in (f"'{host_name}'" if host_name else "", address) if part)
    return known or "an unknown machine"
