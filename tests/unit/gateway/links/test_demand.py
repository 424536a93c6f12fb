"""Jobs and room for them find each other, whatever the order in which they come."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_edge.gateway.links.demand import MOST_TAKERS, Demand
from airflow_edge.rules.matching import Capacity, QueueKey
from airflow_edge.store.jobs.claims import Waiting

KEYS = [QueueKey(None, "plc"), QueueKey(None, "gpu"), QueueKey("team", "plc")]
NOW = 0.0


class Link:
    """A worker's, with so many free slots."""

    def __init__(self, *keys: QueueKey, free: int = 1) -> None:
        self.keys, self.free, self.changes_at = frozenset(keys), free, None
        self.worker = SimpleNamespace(id=uuid4())
        self.slots = SimpleNamespace(changes_at=lambda now: self.changes_at)

    def capacity(self, now: float) -> Capacity | None:
        if not self.free:
            return None
        queues = frozenset(key.name for key in self.keys)
        return Capacity(worker_id=self.worker.id, queues=queues, team_name=None, free_slots=self.free)


class World(RuleBasedStateMachine):
    """A queue, workers, and somebody who looks whenever there is a reason."""

    def __init__(self) -> None:
        super().__init__()
        self.demand = Demand()
        self.jobs: defaultdict[QueueKey, list[int]] = defaultdict(list)
        """How many slots each that waits takes."""
        self.links: list[Link] = []

    @rule(key=st.sampled_from(KEYS), slots=st.integers(1, 3))
    def queue(self, key: QueueKey, slots: int) -> None:
        self.jobs[key].append(slots)
        self.demand.queued(key, slots)

    @rule(key=st.sampled_from(KEYS), slots=st.integers(1, 3))
    def give_back(self, key: QueueKey, slots: int) -> None:
        """Nobody says into which queue."""
        self.jobs[key].append(slots)
        self.demand.wake()

    @rule(keys=st.sets(st.sampled_from(KEYS), min_size=1), free=st.integers(0, 3))
    def arrive(self, keys: set[QueueKey], free: int) -> None:
        link = Link(*keys, free=free)
        self.links.append(link)
        self.demand.arrived(cast("Any", link))

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(self.links))
        self.links.remove(link)
        self.demand.left(cast("Any", link))

    @precondition(lambda self: self.links)
    @rule(data=st.data(), free=st.integers(1, 3))
    def gain(self, data: st.DataObject, free: int) -> None:
        link = data.draw(st.sampled_from(self.links))
        link.free += free
        self.demand.gained(cast("Any", link))

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def serve_others(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(self.links))
        link.keys = frozenset(data.draw(st.sets(st.sampled_from(KEYS), min_size=1)))
        self.demand.arrived(cast("Any", link))

    @rule(key=st.sampled_from(KEYS), slots=st.integers(1, 3))
    def queue_during_a_look_at_all(self, key: QueueKey, slots: int) -> None:
        self.demand.begin_look()
        seen = self.seen()
        self.queue(key, slots)
        self.demand.know(seen)

    @rule(most=st.integers(1, 5))
    def look(self, most: int) -> None:
        """Hand out what there is, of each queue so many at once."""
        for _ in range(1_000):
            if not self.demand.awake.is_set() and not self.demand.all_due:
                break
            if self.demand.all_due:
                self.demand.begin_look()
                self.demand.know(self.seen())
            for key, takers in self.demand.take(1, NOW).items():
                self.claim(key, cast("Any", list(takers)), most)
        else:
            raise AssertionError("there is always a reason for another look")
        for key, waiting in self.jobs.items():
            able = [link.free for link in self.links if key in link.keys]
            assert not waiting or max(able, default=0) < min(waiting)

    def claim(self, key: QueueKey, takers: list[Link], most: int) -> None:
        free = max(link.free for link in takers)
        looked_at = [slots for slots in self.jobs[key] if slots <= free][:most]
        given = 0
        for slots in looked_at:
            link = max(takers, key=lambda one: one.free)
            if link.free >= slots:
                link.free -= slots
                self.jobs[key].remove(slots)
                given += 1
        full = len(looked_at) == most
        self.demand.looked(key, slots=free, more=full and given > 0, left=full or given < len(looked_at))

    def seen(self) -> Waiting:
        return Waiting(queues={key: max(slots) for key, slots in self.jobs.items() if slots})

    @invariant()
    def nobody_who_is_gone_is_asked(self) -> None:
        known = {link for ring in self.demand._rings.values() for link in ring}
        assert known <= set(cast("Any", self.links))


World.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase


def demand_of(*links: Link) -> Demand:
    demand = Demand()
    demand.begin_look()
    for link in links:
        demand.arrived(cast("Any", link))
    return demand


def test_of_many_workers_only_some_are_asked_and_the_others_are_the_next() -> None:
    links = [Link(KEYS[0]) for _ in range(3 * MOST_TAKERS)]
    demand = demand_of(*links)
    asked: list[UUID] = []
    for _ in range(3):
        demand.queued(KEYS[0], 1)
        asked += [link.worker.id for link in demand.take(1, NOW)[KEYS[0]]]
    assert asked == [link.worker.id for link in links]


def test_room_is_no_reason_to_look_where_nothing_waits() -> None:
    link = Link(*KEYS)
    demand = demand_of(link)
    demand.gained(cast("Any", link))
    assert not demand.awake.is_set()
    demand.queued(KEYS[0], 1)
    assert demand.awake.is_set()
    assert list(demand.take(1, NOW)) == [KEYS[0]]
    assert not demand.awake.is_set()


def test_a_worker_for_which_a_test_job_waits_is_a_reason_to_look_when_it_has_room() -> None:
    link = Link(KEYS[0])
    demand = demand_of(link)
    demand.know(Waiting(tests=frozenset({link.worker.id})))
    demand.take(1, NOW)
    assert not demand.awake.is_set()
    demand.gained(cast("Any", link))
    assert demand.awake.is_set()


async def test_one_that_pauses_is_asked_again_when_its_pause_is_over() -> None:
    link = Link(KEYS[0], free=0)
    link.changes_at = asyncio.get_running_loop().time() + 0.01  # type: ignore[assignment]
    demand = demand_of(link)
    demand.queued(KEYS[0], 1)
    assert demand.take(1, NOW) == {}
    link.free = 1
    await asyncio.wait_for(demand.awake.wait(), 10)
    assert list(demand.take(1, NOW)) == [KEYS[0]]
