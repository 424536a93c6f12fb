"""Which queues have jobs that wait, and which linked workers could take them, as far as this process knows.

Whoever looks goes through the queues that something has happened to, and through as many workers as have to be asked
for their jobs: neither all queues nor all workers. No I/O; times are the event loop's.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final
from uuid import UUID

from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.rules.matching import Capacity, QueueKey
from airflow_edge.store.jobs.claims import Waiting

MOST_TAKERS: Final = 64
"""Workers among which the jobs of one queue are handed out at once; the others are the next."""


Takers = dict[WorkerLink, Capacity]


class Demand:
    """Keeps account of jobs and of room for them, for one gateway process."""

    def __init__(self) -> None:
        self.awake = asyncio.Event()
        """Whether there is something to look at."""
        self.all_due = True
        """Whether it is not known what waits."""
        self._waiting: dict[QueueKey, int] = {}
        self._heard: dict[QueueKey, int] = {}
        """What has come since the look at all that waits began."""
        self.tests: set[UUID] = set()
        """Workers for which test jobs wait."""
        self._due: dict[QueueKey, None] = {}
        self._rings: defaultdict[QueueKey, dict[WorkerLink, None]] = defaultdict(dict)
        """Who may have room for a queue's jobs; who was given none for longest comes first."""
        self._in_rings: dict[WorkerLink, Collection[QueueKey]] = {}
        self._later: dict[WorkerLink, asyncio.TimerHandle] = {}

    # What happens

    def wake(self) -> None:
        """Something has come into a queue, and it is not known into which."""
        self.all_due = True
        self.awake.set()

    def queued(self, key: QueueKey, slots: int) -> None:
        """Jobs have come into a queue, of which the largest takes so many slots."""
        for known in (self._waiting, self._heard):
            known[key] = max(slots, known.get(key, 0))
        self._stir([key])

    def begin_look(self) -> None:
        """Somebody looks at all that waits."""
        self.all_due = False
        self._heard.clear()

    def know(self, waiting: Waiting) -> None:
        """This was all that waited when the look began."""
        heard = {key: max(slots, waiting.queues.get(key, 0)) for key, slots in self._heard.items()}
        self._waiting, self.tests = {**waiting.queues, **heard}, set(waiting.tests)
        self._stir(waiting.queues)
        if waiting.tests:
            self.awake.set()

    def arrived(self, link: WorkerLink) -> None:
        """A worker has linked, or serves other queues now: what waits in them is to be looked at."""
        self.left(link)
        self._in_rings[link] = link.keys
        self.gained(link)

    def gained(self, link: WorkerLink) -> None:
        """A worker may have room that it had not."""
        if (keys := self._in_rings.get(link)) is None:
            return
        for key in keys:
            self._rings[key].setdefault(link)
        self._stir(key for key in keys if key in self._waiting)
        if link.worker.id in self.tests:
            self.awake.set()

    def left(self, link: WorkerLink) -> None:
        """A worker is gone."""
        if (timer := self._later.pop(link, None)) is not None:
            timer.cancel()
        for key in self._in_rings.pop(link, ()):
            if (ring := self._rings.get(key)) is not None:
                ring.pop(link, None)
                if not ring:
                    del self._rings[key]

    def _stir(self, keys: Iterable[QueueKey]) -> None:
        self._due.update(dict.fromkeys(keys))
        if self._due:
            self.awake.set()

    # Who looks

    def take(self, most: int, now: float) -> dict[QueueKey, Takers]:
        """Give queues that something has happened to, each with workers that have room, until there is room enough.

        :param most: jobs
        """
        found: dict[QueueKey, Takers] = {}
        while self._due and most > 0:
            key = next(iter(self._due))
            del self._due[key]
            if takers := self.takers(key, now):
                found[key] = takers
                most -= sum(min(one.free_slots, one.offers) for one in takers.values())
        if not (self._due or self.all_due):
            self.awake.clear()
        return found

    def looked(self, key: QueueKey, *, slots: int, more: bool, left: bool) -> None:
        """Note what was found in a queue.

        :param slots: no job with more was looked for
        :param more: more of these may wait than was looked at
        :param left: of these some wait that nobody got
        """
        if more:
            self._stir([key])
        elif not left and key not in self._due and self._waiting.get(key, 0) <= slots:
            # Whoever gains room later need not ask for it.
            self._waiting.pop(key, None)

    def takers(self, key: QueueKey, now: float) -> Takers:
        """Give workers that have room for a queue's jobs now, some of them where they are many."""
        takers: Takers = {}
        ring = self._rings.get(key, {})
        for _ in range(len(ring)):
            link = next(iter(ring))
            del ring[link]
            capacity = link.capacity(now)
            if capacity is None or key.name not in capacity.queues:
                self._look_later(link, now)
                continue
            ring[link] = None
            takers[link] = capacity
            if len(takers) == MOST_TAKERS:
                break
        return takers

    def _look_later(self, link: WorkerLink, now: float) -> None:
        """Some lack room for a time only, and nothing tells when that is over."""
        at = link.slots.changes_at(now)
        if at is not None and link not in self._later:
            loop = asyncio.get_running_loop()
            self._later[link] = loop.call_at(at, self._again, link)

    def _again(self, link: WorkerLink) -> None:
        del self._later[link]
        self.gained(link)
