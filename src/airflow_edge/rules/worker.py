"""An enrolled worker, as the centre knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from airflow_edge.protocol.messages import MaintenanceCause
from airflow_edge.protocol.states import WorkerState

CONDITIONS = "conditions"
WARNINGS = "warnings"
"""Among a worker's facts: why it takes no new job, in words; empty if it does."""


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
    transport: str | None
    """What carries that link, or carried the last one, for people."""
    agent_version: str | None
    airflow_version: str | None
    asked_state: WorkerState | None = None
    """What the centre has asked of it and it has not obeyed yet: one of `protocol.states.REQUESTS`."""
    maintenance_comment: str = ""
    maintenance_cause: MaintenanceCause | None = None
    """Who put it into the maintenance that it is in."""
    version_refused: str = ""
    """Why its versions get no jobs; empty if they do."""
    version_warning: str = ""
    """What is odd about its versions; empty for nothing."""
    system: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    log_request: LogRequest | None = None
    """The last request for its own log, over or not."""
    disconnect_grace: timedelta | None = None
    """How long its jobs are waited for while it is out of reach, where it has a grace of its own."""

    @property
    def served_queues(self) -> tuple[str, ...]:
        """The queues whose jobs it is given."""
        asked = self.asked_queues
        return tuple(name for name in self.queues if asked is None or name in asked or name in self.added_queues)
