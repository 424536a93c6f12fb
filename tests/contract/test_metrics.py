from __future__ import annotations

from uuid import UUID, uuid4

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.choosing import WorkerFilter
from airflow_edge.rules.metrics import MINUTES_PER_CHUNK, Chunk
from airflow_edge.store.store import Store
from tests.contract.world import NOW, enrolled, facts

NOON = 29_000_000


def chunk(worker_id: UUID, minute: int = NOON, size: int = 1) -> Chunk:
    return Chunk(worker_id, minute, size, bytes(range(20)) * size)


def test_a_chunk_that_has_grown_takes_the_place_of_the_one_before(store: Store) -> None:
    one, other = uuid4(), uuid4()
    store.metrics.write([])
    store.metrics.write([chunk(one), chunk(other)])
    store.metrics.write([chunk(one, size=2), chunk(one, NOON + 1)])
    assert store.metrics.read(one, since=0, until=2**31 - 1) == [chunk(one, size=2), chunk(one, NOON + 1)]
    assert store.metrics.read(other, since=0, until=2**31 - 1) == [chunk(other)]


def test_what_overlaps_a_time_is_given(store: Store) -> None:
    worker = uuid4()
    for first in (0, MINUTES_PER_CHUNK, 2 * MINUTES_PER_CHUNK):
        store.metrics.write([chunk(worker, NOON + first, MINUTES_PER_CHUNK)])

    def found(since: int, until: int) -> list[int]:
        return [one.minute - NOON for one in store.metrics.read(worker, since=NOON + since, until=NOON + until)]

    assert found(0, 1) == [0]
    assert found(-5, 0) == []
    assert found(MINUTES_PER_CHUNK - 1, MINUTES_PER_CHUNK) == [0]
    assert found(MINUTES_PER_CHUNK - 1, MINUTES_PER_CHUNK + 1) == [0, MINUTES_PER_CHUNK]
    assert found(3 * MINUTES_PER_CHUNK, 100) == []


def test_many_workers_are_written_and_purged(store: Store) -> None:
    workers = [uuid4() for _ in range(1_100)]
    store.metrics.write([chunk(worker, NOON + number) for worker in workers for number in (0, 15)])
    store.metrics.write([chunk(worker, NOON + 15, 2) for worker in workers])
    assert store.metrics.purge(before=NOON) == 0
    assert store.metrics.purge(before=NOON + 15) == len(workers)
    assert store.metrics.read(workers[-1], since=0, until=2**31 - 1) == [chunk(workers[-1], NOON + 15, 2)]


def test_a_worker_that_is_removed_leaves_none_behind(store: Store) -> None:
    worker = enrolled(store)
    store.metrics.write([chunk(worker.id)])
    store.workers.link({worker.id: facts(state=WorkerState.OFFLINE)}, now=NOW)
    assert store.workers.remove(worker.id, now=NOW) == ""
    assert store.metrics.read(worker.id, since=0, until=2**31 - 1) == []


def test_what_a_gateway_thinks_of_the_versions_is_kept_until_the_next_link(store: Store) -> None:
    worker = enrolled(store)
    assert (worker.version_refused, worker.version_warning) == ("", "")
    store.workers.link({worker.id: facts(version_refused="too old", version_warning="odd")}, now=NOW)
    [view] = store.fleet.find_workers(WorkerFilter(), limit=10).items
    assert (view.worker.version_refused, view.worker.version_warning, view.free_slots) == ("too old", "odd", 0)
    store.workers.link({worker.id: facts()}, now=NOW)
    [view] = store.fleet.find_workers(WorkerFilter(), limit=10).items
    assert (view.worker.version_refused, view.worker.version_warning, view.free_slots) == ("", "", 8)


def test_the_cause_of_a_maintenance_is_what_the_worker_says(store: Store) -> None:
    worker = enrolled(store)
    store.workers.link({worker.id: facts()}, now=NOW)
    store.workers.seen(
        {worker.id: WorkerState.MAINTENANCE_MODE}, {}, {worker.id: "hot"}, {worker.id: "system"}, now=NOW
    )
    [seen] = store.workers.all()
    assert (seen.maintenance_cause, seen.maintenance_comment) == ("system", "hot")
    store.workers.seen({worker.id: WorkerState.IDLE}, {}, {}, {}, now=NOW)
    assert store.workers.all()[0].maintenance_cause is None
