"""Who gets no jobs for now, since to ask for theirs fails: the others are asked for without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final
from uuid import UUID

import attrs

from airflow_edge.rules.matching import Capacity

TRIED_AGAIN: Final = 60.0
"""Seconds after which one that failed is tried again, alone."""
REMEMBERED: Final = 600.0
"""Seconds for which it is known of a worker that is not linked any more."""
EVERYTHING: Final = ""
"""In place of a queue: it is not known to be one of them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing can be asked for, and until when that is taken to be so, by the event loop's clock."""

    why: str
    until: float


@attrs.define
class LeftOut:
    """The queues of workers that are left out of shared statements."""

    _failures: dict[UUID, dict[str, Failure]] = attrs.field(factory=dict, init=False)

    def without(self, capacity: Capacity) -> Capacity | None:
        """Give what can be asked for together with others; None for nothing."""
        failed = self._failures.get(capacity.worker_id)
        if not failed:
            return capacity
        queues = capacity.queues - failed.keys()
        return replace(capacity, queues=queues) if queues and EVERYTHING not in failed else None

    def due(self, capacities: Iterable[Capacity], now: float) -> list[tuple[Capacity, str]]:
        """Give what is to be tried again, each alone, with the queue that it is about; the longest due first."""
        found: list[tuple[float, Capacity, str]] = []
        for capacity in capacities:
            failed = self._failures.get(capacity.worker_id, {})
            for queue, failure in list(failed.items()):
                if queue != EVERYTHING and queue not in capacity.queues:
                    self.heal(capacity.worker_id, queue)
                elif failure.until <= now:
                    alone = capacity.queues if queue == EVERYTHING else frozenset({queue})
                    found.append((failure.until, replace(capacity, queues=alone), queue))
        return [(capacity, queue) for _, capacity, queue in sorted(found, key=itemgetter(0))]

    def add(self, worker_id: UUID, queue: str, why: str, now: float) -> bool:
        """Leave it out; say whether that is news."""
        failed = self._failures.setdefault(worker_id, {})
        before = failed.get(queue)
        failed[queue] = Failure(why, now + TRIED_AGAIN)
        return before is None or before.why != why

    def heal(self, worker_id: UUID, queue: str) -> None:
        """Leave it out no more."""
        failed = self._failures.get(worker_id, {})
        failed.pop(queue, None)
        if not failed:
            self._failures.pop(worker_id, None)

    def words(self, worker_id: UUID) -> str:
        """Say for people what a worker does not get, and why; empty if it gets everything."""
        return describe({queue: failure.why for queue, failure in self._failures.get(worker_id, {}).items()})

    def forget(self, now: float) -> None:
        """Forget those that have not been tried for long."""
        for worker_id, failed in list(self._failures.items()):
            if all(failure.until + REMEMBERED < now for failure in failed.values()):
                del self._failures[worker_id]


def describe(failed: Mapping[str, str]) -> str:
    """Say which queues' jobs cannot be handed out to a worker, and why."""
    if not failed:
        return ""
    queues = "its queues" if EVERYTHING in failed else ", ".join(f"queue {queue[:60]!a}" for queue in sorted(failed))
    why = next(iter(failed.values()))
    return f"it gets no job of {queues}: to ask the centre's database for one fails ({why})"
