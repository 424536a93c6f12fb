"""Processes of the centre that leave a mark while they run: schedulers that have our executor, and gateways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

ProcessKind = Literal["scheduler", "gateway"]

MARK_INTERVAL: Final = 10.0
"""Seconds between two marks."""
ALIVE_FOR: Final = timedelta(seconds=60)
"""How long a mark counts. Marks of other machines are compared with one's own clock: they may differ by so much."""
FORGOTTEN_AFTER: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreProcess:
    """One of them; a scheduler with an executor for each of several teams counts once for each."""

    id: UUID
    kind: ProcessKind
    host: str
    pid: int
    version: str
    """Of airflow-edge."""
    executors: str
    """What `[core] executor` is to it; empty for a gateway."""
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None = None
    """When it said that it ends."""

    def is_alive(self, now: datetime) -> bool:
        """Say whether it has left a mark lately, and has not said that it ends."""
        return self.ended_at is None and self.seen_at > now - ALIVE_FOR


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreFacts:
    """What runs at the centre, of what a job needs."""

    schedulers: tuple[CentreProcess, ...]
    """Those alive that have our executor."""
    gateways: tuple[CentreProcess, ...]
    """Those alive."""
    scheduler_seen_at: datetime | None
    """When the last one was there, alive or not; None: never, as far as is remembered."""
    gateway_seen_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySigns:
    """When gateways were there last: as much of their marks as says whether workers are served."""

    alive_at: datetime | None
    """The last mark of those that have not said that they end."""
    seen_at: datetime | None
    """The last of any; None: never, as far as is remembered."""

    def is_one_alive(self, now: datetime) -> bool:
        """Say whether one has left a mark lately, and has not said that it ends."""
        return self.alive_at is not None and self.alive_at > now - ALIVE_FOR


def at_the_centre(processes: Iterable[CentreProcess], now: datetime) -> CentreFacts:
    """Say what runs."""
    known = sorted(processes, key=lambda one: (one.started_at, one.id))
    of = {kind: [one for one in known if one.kind == kind] for kind in ("scheduler", "gateway")}
    last = {kind: max((one.seen_at for one in some), default=None) for kind, some in of.items()}
    alive = {kind: tuple(one for one in some if one.is_alive(now)) for kind, some in of.items()}
    return CentreFacts(
        schedulers=alive["scheduler"],
        gateways=alive["gateway"],
        scheduler_seen_at=last["scheduler"],
        gateway_seen_at=last["gateway"],
    )
