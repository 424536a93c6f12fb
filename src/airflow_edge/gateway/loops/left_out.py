"""Queues whose jobs nobody gets for now, since to ask for them fails: the others are asked for without them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import attrs

from airflow_edge.rules.matching import QueueKey

TRIED_AGAIN: Final = 60.0
"""Seconds after which one that failed is tried again, alone."""
REMEMBERED: Final = 600.0
"""Seconds for which one that is not tried any more is known."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing can be asked for, and until when that is taken to be so, by the event loop's clock."""

    why: str
    until: float


@attrs.define
class LeftOut:
    """The queues that are left out of shared statements."""

    _failures: dict[QueueKey, Failure] = attrs.field(factory=dict, init=False)

    def __bool__(self) -> bool:
        return bool(self._failures)

    def __contains__(self, key: QueueKey) -> bool:
        return key in self._failures

    def due(self, now: float) -> list[QueueKey]:
        """Give those that are to be tried again, the longest due first."""
        found = [(failure.until, key) for key, failure in self._failures.items() if failure.until <= now]
        return [key for _, key in sorted(found, key=lambda one: one[0])]

    def add(self, key: QueueKey, why: str, now: float) -> bool:
        """Leave it out; say whether that is news."""
        before = self._failures.get(key)
        self._failures[key] = Failure(why, now + TRIED_AGAIN)
        return before is None or before.why != why

    def heal(self, key: QueueKey) -> None:
        """Leave it out no more."""
        self._failures.pop(key, None)

    def words(self, keys: Collection[QueueKey]) -> str:
        """Say for people which of these queues' jobs nobody gets, and why; empty for none."""
        return describe({key.name: self._failures[key].why for key in keys if key in self._failures})

    def forget(self, now: float) -> None:
        """Forget those that have not been tried for long."""
        for key, failure in list(self._failures.items()):
            if failure.until + REMEMBERED < now:
                del self._failures[key]


def describe(failed: Mapping[str, str]) -> str:
    """Say which queues' jobs cannot be handed out to a worker, and why."""
    if not failed:
        return ""
    queues = ", ".join(f"queue {queue[:60]!a}" for queue in sorted(failed))
    why = next(iter(failed.values()))
    return f"it gets no job of {queues}: to ask the centre's database for one fails ({why})"
