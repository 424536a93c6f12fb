"""What is read of workers that have changed: each change once in each process, however long looks overlap."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.loops.worker_changes import OVERLAP, WorkerChanges
from airflow_edge.rules.matching import QueueKey
from airflow_edge.rules.worker import Worker
from tests.workers import enrolled_worker

RETURNED = 1000


class Workers:
    """The database, and how many workers were read from it."""

    def __init__(self, workers: Iterable[Worker], changed_at: datetime) -> None:
        self.there = {worker.id: worker for worker in workers}
        self.changed_at = dict.fromkeys(self.there, changed_at)
        self.read = 0
        self.unreadable: UUID | None = None

    def changed_since(self, since: datetime) -> dict[UUID, datetime]:
        return {worker_id: at for worker_id, at in self.changed_at.items() if at >= since}

    def with_ids(self, worker_ids: Iterable[UUID]) -> list[Worker]:
        found = [self.there[worker_id] for worker_id in worker_ids]
        if self.unreadable in {worker.id for worker in found}:
            raise ValueError("nothing that could be a worker")
        self.read += len(found)
        return found


class Forgetful:
    """The cache of workers' keys."""

    def __init__(self) -> None:
        self.forgotten: list[UUID] = []

    def forget(self, worker_id: UUID) -> None:
        self.forgotten.append(worker_id)


class Link:
    """A worker's, which is to hear of what was changed."""

    def __init__(self, worker: Worker) -> None:
        self.id, self.worker, self.open = uuid4(), worker, True
        self.heard: list[Worker] = []
        self.keys = frozenset[QueueKey]()

    def follow(self, worker: Worker) -> bool:
        self.heard.append(worker)
        return True

    def ask_for_log(self, request: object, *, now: datetime) -> None: ...


class Watch:
    def __init__(self, workers: Workers, *links: Link) -> None:
        self.calls, self.directory = StoreCalls(1), Forgetful()
        self.fails = False
        store = SimpleNamespace(workers=workers, orders=SimpleNamespace(waiting=self._waiting))
        self.changes = WorkerChanges(
            cast("Any", store),
            self.calls,
            cast("Any", links),
            cast("Any", self.directory),
            Demand(),
            self._answer,
        )

    def _waiting(self, _: list[UUID]) -> list[Any]:
        if self.fails:
            raise OSError("the database has gone")
        return []

    async def _answer(self, _: Iterable[Worker]) -> None: ...


async def test_each_of_a_thousand_that_come_back_at_once_is_read_once():
    workers = Workers([enrolled_worker() for _ in range(RETURNED)], datetime.now(UTC))
    watch = Watch(workers)
    for _ in range(5):
        await watch.changes.look()
    assert (workers.read, len(watch.directory.forgotten)) == (RETURNED, RETURNED)
    # One that changes once more is read once more, and no other.
    (one, *_) = workers.there
    workers.changed_at[one] += timedelta(microseconds=1)
    for _ in range(2):
        await watch.changes.look()
    assert (workers.read, watch.directory.forgotten[RETURNED:]) == (RETURNED + 1, [one])
    watch.calls.close()


async def test_a_change_by_a_clock_that_is_behind_is_seen():
    workers = Workers([enrolled_worker()], datetime.now(UTC) - OVERLAP + timedelta(minutes=1))
    watch = Watch(workers)
    await watch.changes.look()
    assert workers.read == 1
    watch.calls.close()


async def test_what_could_not_be_passed_on_is_passed_on_at_the_next_look_also_to_a_link_that_is_new():
    worker = enrolled_worker()
    link = Link(worker)
    workers = Workers([enrolled_worker(id=worker.id, link_id=link.id)], datetime.now(UTC))
    watch = Watch(workers, link)
    watch.fails = True
    with pytest.raises(OSError, match="gone"):
        await watch.changes.look()
    watch.fails = False
    await watch.changes.look()
    await watch.changes.look()
    assert len(link.heard) == 2
    watch.calls.close()


async def test_what_cannot_be_read_of_one_keeps_nobody_waiting_and_is_read_as_soon_as_it_can_be(caplog):
    changed = [enrolled_worker() for _ in range(5)]
    links = [Link(worker) for worker in changed]
    there = [enrolled_worker(id=link.worker.id, link_id=link.id) for link in links]
    workers = Workers(there, datetime.now(UTC))
    workers.unreadable = there[3].id
    watch = Watch(workers, *links)
    for _ in range(3):
        await watch.changes.look()
    assert [len(link.heard) for link in links] == [1, 1, 1, 0, 1]
    assert sorted(watch.directory.forgotten) == sorted(worker.id for worker in there)
    assert caplog.text.count("cannot be read: nothing that could be a worker") == 1
    workers.unreadable = None
    await watch.changes.look()
    assert [len(link.heard) for link in links] == [1, 1, 1, 1, 1]
    watch.calls.close()
