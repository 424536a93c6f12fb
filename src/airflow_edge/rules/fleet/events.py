"""What has happened to a worker, as a person wants to read it afterwards: told from how it was before and is after."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from airflow_edge.protocol.messages import MaintenanceCause
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.standing import OFFLINE, in_maintenance

ENROLLED: Final = "enrolled"
LINKED: Final = "linked"
RESTARTED: Final = "restarted"
OUT_OF_REACH: Final = "out of reach"
BACK: Final = "back"
GONE_OFFLINE: Final = "offline"
MAINTENANCE: Final = "maintenance"
MAINTENANCE_ENDED: Final = "maintenance ended"
CONDITION: Final = "condition"
CONDITION_GONE: Final = "condition gone"
ORDER: Final = "order"
RENAMED: Final = "renamed"
QUEUES: Final = "queues"
REVOKED: Final = "revoked"
VERSION_REFUSED: Final = "version refused"
COPIED_KEY: Final = "copied key"

_NUMBERS: Final = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """Something that has happened to a worker."""

    id: int
    at: datetime
    kind: str
    text: str
    by: str | None
    """Who wanted it, where somebody did."""


class Happening(NamedTuple):
    """Something that happens to a worker."""

    kind: str
    text: str = ""


class Condition(NamedTuple):
    """How a worker is, as far as a change of it is worth to be remembered."""

    state: WorkerState
    silent: bool
    conditions: str
    version_refused: str
    maintenance_cause: MaintenanceCause | None
    maintenance_comment: str


def begun(life_before: UUID | None, life: UUID | None, where: str, *, offline: bool) -> list[Happening]:
    """Say what it is that a worker has linked.

    :param life_before: which process of it had the last link; None if that did not say
    :param where: the machine and the agent, in words
    :param offline: it had said goodbye, or never linked
    """
    if offline:
        return [Happening(LINKED, where)]
    restarted = life is not None and life_before is not None and life != life_before
    return [Happening(RESTARTED, where)] if restarted else []


def happened(before: Condition, after: Condition) -> list[Happening]:
    """Say what has happened to a worker between two looks.

    That its tasks come and go is no event, nor that the numbers in a condition change.
    """
    found = []
    if after.silent and not before.silent:
        found.append(Happening(OUT_OF_REACH))
    offline = after.state in OFFLINE
    if before.silent and not after.silent and not offline:
        found.append(Happening(BACK))
    if offline and before.state not in OFFLINE:
        found.append(Happening(GONE_OFFLINE, "it has said goodbye"))
    rested, rests = (in_maintenance(one.state, one.maintenance_cause) for one in (before, after))
    if rests and not rested:
        found.append(Happening(MAINTENANCE, after.maintenance_comment))
    if rested and not rests:
        found.append(Happening(MAINTENANCE_ENDED))
    if _kinds(before.conditions) != _kinds(after.conditions):
        found.append(
            Happening(CONDITION, after.conditions) if after.conditions else Happening(CONDITION_GONE, before.conditions)
        )
    if after.version_refused and after.version_refused != before.version_refused:
        found.append(Happening(VERSION_REFUSED, after.version_refused))
    return found


def _kinds(conditions: str) -> str | None:
    """Give conditions without their numbers; None for none."""
    return _NUMBERS.sub("#", conditions) if conditions else None


def answered(kind: str, text: str, number: int | None, detail: str, *, done: bool) -> Happening:
    """Say what a worker has answered to an order."""
    what = " ".join([kind, *([str(number)] if number is not None else []), *([f"'{text}'"] if text else [])])
    answer = "done" if done else f"refused{f': {detail}' if detail else ''}"
    return Happening(ORDER, f"{what}: {answer}")
