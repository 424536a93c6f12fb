"""Which faults come when: drawn from a seed before anything starts, so that a run can be had again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

MEAN_INTERVAL = 2.5
"""Seconds between two faults, on average."""


class Fault(StrEnum):
    """What may happen: first to the network of a site, then to its processes, then to the centre."""

    CUT = "cut"
    RESET = "reset"
    HALF_A_MESSAGE = "half a message"
    ONE_CONNECTION = "one connection"
    BLACK_HOLE = "black hole"
    BLACK_HOLE_AND_RESET = "black hole and reset"
    ONLY_UP = "only up"
    ONLY_DOWN = "only down"
    DELAY = "delay"
    REFUSE = "refuse"
    SOMEBODY_ELSE_ANSWERS = "somebody else answers"
    ALL_SITES_CUT_OFF = "all sites cut off"

    AGENT_KILLED = "agent killed"
    AGENT_FROZEN = "agent frozen"
    AGENT_REPLACED = "agent replaced"
    RUNTIME_KILLED = "runtime killed"
    TASK_KILLED = "task killed"
    POWER_CUT = "power cut"
    SITE_COPIED = "site copied"
    STATE_DAMAGED = "state damaged"
    DISK_FULL = "disk full"
    NO_PROCESSES = "no processes"
    NO_DESCRIPTORS = "no descriptors"

    API_SERVER_KILLED = "API server killed"
    API_SERVERS_KILLED = "all API servers killed"
    API_SERVER_FROZEN = "API server frozen"
    SCHEDULER_KILLED = "scheduler killed"
    DATABASE_RESTARTED = "database restarted"
    DATABASE_CRASHED = "database crashed"


_WEIGHTS = {
    Fault.CUT: 8,
    Fault.RESET: 8,
    Fault.HALF_A_MESSAGE: 8,
    Fault.ONE_CONNECTION: 8,
    Fault.BLACK_HOLE: 8,
    Fault.BLACK_HOLE_AND_RESET: 6,
    Fault.ONLY_UP: 5,
    Fault.ONLY_DOWN: 5,
    Fault.DELAY: 5,
    Fault.REFUSE: 6,
    Fault.SOMEBODY_ELSE_ANSWERS: 8,
    Fault.ALL_SITES_CUT_OFF: 2,
    Fault.AGENT_KILLED: 10,
    Fault.AGENT_FROZEN: 4,
    Fault.AGENT_REPLACED: 3,
    Fault.RUNTIME_KILLED: 3,
    Fault.TASK_KILLED: 3,
    Fault.POWER_CUT: 2,
    Fault.SITE_COPIED: 2,
    Fault.STATE_DAMAGED: 8,
    Fault.DISK_FULL: 4,
    Fault.NO_PROCESSES: 5,
    Fault.NO_DESCRIPTORS: 6,
    Fault.API_SERVER_KILLED: 3,
    Fault.API_SERVERS_KILLED: 1,
    Fault.API_SERVER_FROZEN: 2,
    Fault.SCHEDULER_KILLED: 2,
    Fault.DATABASE_RESTARTED: 1,
    Fault.DATABASE_CRASHED: 1,
}


@dataclass(frozen=True)
class Blow:
    """One fault to come."""

    at: float
    """Seconds after the beginning."""
    fault: Fault
    target: int
    """Which of those there are, counted round."""
    seconds: float
    """How long it lasts, or until what was killed comes back."""
    share: float
    """Something between 0 and 1 for whatever else is to be decided by chance."""


def draw(seed: int, seconds: float) -> list[Blow]:
    """The faults of a run that lasts so long."""
    dice = random.Random(seed)
    blows = []
    at = dice.expovariate(1 / MEAN_INTERVAL)
    while at < seconds:
        (fault,) = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        # Most are short; a few outlast every time-out on the way.
        lasts = 0.3 + 25 * dice.random() ** 2
        blows.append(Blow(at, fault, dice.randrange(1000), lasts, dice.random()))
        at += dice.expovariate(1 / MEAN_INTERVAL)
    return blows
