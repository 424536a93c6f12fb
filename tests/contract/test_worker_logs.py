from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.logs.worker_log import Record, pack
from airflow_edge.protocol.messages import MAX_WORKER_LOG_BYTES, WorkerLog
from airflow_edge.rules.worker import LogRequest
from airflow_edge.store.store import Store
from airflow_edge.store.tables import WorkerLogRow
from airflow_edge.store.workers.worker_logs import ROW_COST
from tests.contract.world import NOW, enrolled

QUOTA = 50_000


def record(text: str, level: int = 20) -> Record:
    return Record(1_700_000_000.5, level, "agent", text)


def batch(*records: Record, first: int = 0, **fields) -> WorkerLog:
    plain = pack(records)
    return WorkerLog(**{"run": "run", "first": first, "size": len(plain), "data": zstd.compress(plain), **fields})


def request(name: str = "r", seconds: float = 30, level: int = 20, lines: int = 5) -> LogRequest:
    return LogRequest(id=name, until=NOW + timedelta(seconds=seconds), level=level, lines=lines)


def size(sessions: sessionmaker[Session], worker_id: UUID) -> int:
    with sessions() as session:
        rows = select(func.sum(func.length(WorkerLogRow.data) + ROW_COST)).where(WorkerLogRow.worker_id == worker_id)
        return session.scalar(rows) or 0


def test_batches_are_read_as_they_came(store: Store) -> None:
    worker, other = enrolled(store), enrolled(store)
    assert store.worker_logs.last(worker.id) == 0
    first, second = batch(record("größe\0\x1b")), batch(record("b", 40), record("c"), first=7, answers="req")
    for one in (first, second):
        assert store.worker_logs.append(worker.id, one, quota=QUOTA, now=NOW)
    assert store.worker_logs.append(other.id, first, quota=QUOTA, now=NOW)
    earlier, later = store.worker_logs.read(worker.id)
    assert [found.text for found in earlier.records] == ["größe\0\x1b"]
    assert (later.run, later.first, later.answers) == ("run", 7, "req")
    assert later.records == (record("b", 40), record("c"))
    assert store.worker_logs.read(worker.id, after=earlier.number) == [later]
    assert store.worker_logs.last(worker.id) == later.number > earlier.number
    assert len(store.worker_logs.read(other.id)) == 1


BOMB = zstd.compress(bytes(64 * 1024 * 1024))


@pytest.mark.parametrize(
    "damage",
    [
        {"data": b"no zstd"},
        {"data": b""},
        {"size": 3},
        {"data": zstd.compress(pack([record("x")])) + BOMB},
        {"data": zstd.compress(pack([record("x")]))[:-1]},
        {"data": BOMB, "size": MAX_WORKER_LOG_BYTES},
        {"data": zstd.compress(b"\xc1"), "size": 1},
        {"data": zstd.compress(pack([record("x")])[:-1]), "size": len(pack([record("x")])) - 1},
    ],
)
def test_what_is_no_batch_is_not_kept(store: Store, damage: dict[str, Any]) -> None:
    worker = enrolled(store)
    assert not store.worker_logs.append(worker.id, batch(record("x"), **damage), quota=QUOTA, now=NOW)
    assert not store.worker_logs.append(uuid4(), batch(record("x")), quota=QUOTA, now=NOW)
    assert store.worker_logs.read(worker.id) == []


@pytest.mark.parametrize("length", [0, 5_000, 30_000])
def test_a_worker_never_has_more_than_its_quota(store: Store, sessions: sessionmaker[Session], length: int) -> None:
    worker, modest = enrolled(store), enrolled(store)
    store.worker_logs.append(modest.id, batch(record("kept")), quota=QUOTA, now=NOW)
    largest = 0
    for _ in range(QUOTA // (length + ROW_COST) + 20):
        # Hexadecimal digits hold half their number of bytes that nothing makes shorter.
        one = batch(*(record(secrets.token_hex(5_000)) for _ in range(length // 5_000)), record(secrets.token_hex(9)))
        assert store.worker_logs.append(worker.id, one, quota=QUOTA, now=NOW)
        now = size(sessions, worker.id)
        assert now <= QUOTA
        largest = max(largest, now)
    assert largest > QUOTA // 2
    assert not store.worker_logs.append(worker.id, one, quota=len(one.data), now=NOW)
    assert len(store.worker_logs.read(modest.id)) == 1


def test_what_is_old_is_deleted_in_portions_and_numbers_go_on(store: Store) -> None:
    one, two = enrolled(store), enrolled(store)
    for number in range(4):
        now = NOW + timedelta(hours=number)
        for worker in (one, two):
            store.worker_logs.append(worker.id, batch(record(str(number))), quota=QUOTA, now=now)
    last = store.worker_logs.last(one.id)
    before = NOW + timedelta(hours=3)
    assert store.worker_logs.purge(before=before, limit=4) == 4
    assert store.worker_logs.purge(before=before, limit=4) == 2
    assert store.worker_logs.purge(before=before, limit=4) == 0
    assert [found.records[0].text for found in store.worker_logs.read(one.id)] == ["3"]
    assert store.worker_logs.purge(before=NOW + timedelta(days=1), limit=100) == 2
    store.worker_logs.append(one.id, batch(record("new")), quota=QUOTA, now=NOW + timedelta(days=1))
    assert store.worker_logs.last(one.id) > last


def test_requests_of_several_people_are_served_together(store: Store) -> None:
    worker = enrolled(store)
    assert worker.log_request is None
    later = NOW + timedelta(seconds=1)
    store.worker_logs.want(worker.id, request("a", 30, level=20, lines=5), now=later)
    found = store.workers.get(worker.id)
    assert found is not None
    assert found.log_request == request("a", 30, level=20, lines=5)
    assert store.workers.changed_since(later) == {worker.id: later}
    # Another one asks for the past too; then the first only goes on.
    assert store.worker_logs.want(worker.id, request("b", 10, level=30, lines=9), now=later) == request("b", 30, 20, 9)
    assert store.worker_logs.want(worker.id, request("a", 60, level=20, lines=0), now=later) == request("b", 60, 20, 9)
    # When all is over, nothing of it is left.
    over = NOW + timedelta(seconds=61)
    assert store.worker_logs.want(worker.id, request("c", 90, level=40, lines=0), now=over) == request("c", 90, 40, 0)
    store.worker_logs.want(uuid4(), request(), now=NOW)
