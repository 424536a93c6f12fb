"""Who is handed what, where to ask for one worker fails."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.loops.dispatcher import Dispatcher
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.rules.matching import Capacity, QueueKey
from airflow_edge.store.jobs.claims import HandedOut, Waiting
from tests.workers import enrolled_worker


class Link:
    def __init__(self, *queues: str) -> None:
        self.worker = enrolled_worker(queues=queues)
        self.keys, self.free, self.left_out = frozenset(QueueKey(None, queue) for queue in queues), 4, ""
        self.slots = SimpleNamespace(changes_at=lambda now: None)
        self.offered: list[str] = []
        self.breaks = False

    def capacity(self, _: float) -> Capacity | None:
        queues = frozenset(key.name for key in self.keys)
        able = Capacity(worker_id=self.worker.id, queues=queues, team_name=None, free_slots=self.free)
        return able if self.free else None

    def free_slots(self, _: float) -> int:
        return self.free

    def offer(self, job: Any, **_: float) -> None:
        if self.breaks:
            raise ValueError("surrogates not allowed")
        self.free -= job.slots
        self.offered.append(job.queue)


class Database:
    """Has jobs in queues; one of them cannot be read in queues whose names begin with `bad`."""

    def __init__(self, **waiting: int) -> None:
        self.jobs = waiting
        self.claims: list[set[str]] = []
        self.error: Exception | None = None

    def waiting(self) -> Waiting:
        return Waiting(queues={QueueKey(None, queue): 1 for queue, count in self.jobs.items() if count})

    def claim(self, capacities: list[Capacity], *, queues: list[QueueKey], **_: object) -> HandedOut:
        self.claims.append({key.name for key in queues})
        if self.error is not None:
            raise self.error
        if any(key.name.startswith("bad") for key in queues):
            raise LookupError("'x' is not among the states")
        jobs = []
        for one in capacities:
            free = one.free_slots
            for queue in sorted(one.queues & self.claims[-1]):
                taken = min(free, self.jobs.get(queue, 0))
                self.jobs[queue] = self.jobs.get(queue, 0) - taken
                free -= taken
                jobs += [self._job(one, queue) for _ in range(taken)]
        more = {key for key in queues if self.jobs.get(key.name)}
        return HandedOut(jobs=jobs, more=more, left=set())

    @staticmethod
    def _job(capacity: Capacity, queue: str) -> Any:
        job_id = uuid4()
        return SimpleNamespace(
            id=job_id,
            worker_id=capacity.worker_id,
            queue=queue,
            slots=1,
            workload="{}",
            key=AssignmentKey(str(job_id), 1),
        )


class World:
    def __init__(self, database: Database, *links: Link) -> None:
        self.calls, self.demand, self.links = StoreCalls(1), Demand(), links
        config = SimpleNamespace(dispatch_poll_interval=0.01, offer_timeout=30.0)
        store = SimpleNamespace(queue=database)
        parts: list[Any] = [store, self.calls, links, SimpleNamespace(connected=False), self.demand, config]
        self.dispatcher = Dispatcher(*parts)
        for link in links:
            self.demand.arrived(cast("Any", link))

    async def until(self, done: Any) -> None:
        """Let the dispatcher look again and again until that is so."""
        running = asyncio.create_task(self.dispatcher.run())
        async with asyncio.timeout(20):
            while not done():
                self.demand.wake()
                await asyncio.sleep(0)
                assert not running.done(), running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self.calls.close()


async def test_attack_01_an_honest_worker_gets_its_jobs_beside_one_whose_cannot_be_read(caplog):
    honest, bad = [Link("plc") for _ in range(3)], Link("bad")
    database = Database(plc=12, bad=1)
    world = World(database, *honest, bad)
    await world.until(lambda: all(not link.free for link in honest) and bad.left_out)
    assert "'x' is not among the states" in bad.left_out
    assert [link.left_out for link in honest] == ["", "", ""]
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "Nobody gets jobs of queue 'bad'" in record.getMessage()
    assert sum("bad" in claim for claim in database.claims) <= 4


async def test_attack_01_only_the_bad_queue_of_a_worker_is_left_out_and_no_slot_is_filled_twice():
    link = Link("plc", "bad", "gpu")
    database = Database(plc=3, gpu=3, bad=1)
    world = World(database, link)
    await world.until(lambda: not link.free and link.left_out)
    assert len(link.offered) == 4
    assert "bad" not in link.offered
    assert (database.jobs["plc"] + database.jobs["gpu"], database.jobs["bad"]) == (2, 1)


async def test_attack_01_what_fails_for_all_is_not_taken_for_an_outage_and_ends_no_loop():
    links = Link("a"), Link("b")
    database = Database(a=1, b=1)
    database.error = LookupError("'x' is not among the states")
    world = World(database, *links)
    await world.until(lambda: all(link.left_out for link in links))
    assert all("LookupError" in link.left_out for link in links)


async def test_an_outage_leaves_nobody_out(monkeypatch):
    monkeypatch.setattr("airflow_edge.gateway.loops.dispatcher.PAUSE", 0.01)
    link, database = Link("plc"), Database(plc=1)
    database.error = StoreUnavailableError("away")
    world = World(database, link)

    def back() -> bool:
        if len(database.claims) > 2:
            database.error = None
        return bool(link.offered)

    await world.until(back)
    assert link.left_out == ""


async def test_a_worker_is_tried_again_and_left_out_no_more_when_that_does_not_fail(monkeypatch):
    monkeypatch.setattr("airflow_edge.gateway.loops.left_out.TRIED_AGAIN", 0.0)
    link, database = Link("plc"), Database(plc=1)
    database.error = ValueError("a bad job")
    world = World(database, link)
    seen = []

    def mended() -> bool:
        if link.left_out and database.error is not None:
            seen.append(link.left_out)
            database.error = None
        return bool(link.offered) and not link.left_out

    await world.until(mended)
    assert len(seen) == 1


@pytest.mark.parametrize("bad_first", [True, False])
async def test_a_job_that_cannot_be_offered_keeps_no_other_from_it(caplog, bad_first):
    bad, good = Link("a"), Link("b")
    bad.breaks = True
    world = World(Database(a=1, b=1), *([bad, good] if bad_first else [good, bad]))
    await world.until(lambda: good.offered and "could not be offered" in caplog.text)
    assert (bad.left_out, good.left_out) == ("", "")
