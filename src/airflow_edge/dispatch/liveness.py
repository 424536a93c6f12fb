"""Which worker is out of reach, and from when on its jobs are lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SILENT_INTERVALS: Final = 3
"""Heartbeat intervals without a word after which a worker is out of reach."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the centre waits.

    `silence` makes a worker `unknown`; `grace` (`[edge] disconnect_grace`) ends its jobs; both from the moment it was
    last seen.
    """

    silence: timedelta
    grace: timedelta

    def silent_before(self, now: datetime) -> datetime:
        """A worker last seen before this is out of reach."""
        return now - self.silence

    def lost_before(self, now: datetime) -> datetime:
        """The jobs of a worker last seen before this are lost."""
        return now - max(self.grace, self.silence)


def patience(*, heartbeat_interval: float, disconnect_grace: float) -> Patience:
    """Say how long the centre waits, given the two settings in seconds."""
    return Patience(
        silence=timedelta(seconds=SILENT_INTERVALS * heartbeat_interval),
        grace=timedelta(seconds=disconnect_grace),
    )
