"""Logs that are merged, moved to the log store and deleted, while others read and write."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from fsspec.core import url_to_fs
from s3fs import S3FileSystem
from sqlalchemy import delete, select, update

from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.logs.logs import LogProgress, LogUnreadableError
from airflow_edge.store.logs.objects import LogStoreError, ObjectStore
from airflow_edge.store.logs.rows import LARGEST_ROW
from airflow_edge.store.store import Store
from airflow_edge.store.tables import LogChunkRow, LogRow
from tests.contract.dying import KILLED
from tests.contract.log_world import BUCKET, PATH, Place, Sessions, chunk, end, finish, running_job, send
from tests.contract.world import NOW, ended, enrolled
from tests.stored_logs import read_log

ROOT = Path(__file__).parents[2]
WEEK = timedelta(days=7, seconds=1)
LONG = random.Random(7).randbytes(2 * LARGEST_ROW + 1_000_000)


@pytest.fixture
def sessions(log_place: Place) -> Sessions:
    return log_place.sessions


@pytest.fixture
def store(log_place: Place) -> Store:
    return log_place.store


@pytest.fixture
def worker(store: Store) -> UUID:
    return enrolled(store, name="factory").id


@pytest.fixture
def job(store: Store, sessions: Sessions, worker: UUID) -> ClaimedJob:
    return running_job(store, sessions, worker)


@pytest.fixture
def objects(log_place: Place) -> Callable[[], list[str]]:
    """Give the paths of all objects in the log store."""

    def find() -> list[str]:
        if log_place.url is None:
            return []
        filesystem, root = url_to_fs(log_place.url)
        filesystem.invalidate_cache()
        return filesystem.find(root)

    return find


def whole(store: Store, path: str = PATH) -> bytes:
    return read_log(store, path)


def test_a_complete_log_is_one_object(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob, objects: Callable[[], list[str]]
) -> None:
    text = "".join(f"line {number} ä\n" for number in range(2000)).encode()
    send(store, worker, job, text, pieces=301)
    store.jobs.settle(worker, [ended(job)], now=NOW)
    finish(store, worker, job, text)
    assert log_place.rows() == -(-len(text) // 301)
    log_place.tidy()
    assert whole(store) == text
    if log_place.url is None:
        assert log_place.rows() == 1
    else:
        assert log_place.rows() == 0
        (path,) = objects()
        assert f"dag_id=dag/{'ü' * 60}" in path
        assert f"/attempt=1.{job.id}.1." in path
    log_place.tidy()
    assert whole(store) == text


def test_a_long_log_is_read_from_anywhere_in_bounded_pieces(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob
) -> None:
    send(store, worker, job, LONG)
    finish(store, worker, job, LONG)
    log_place.tidy()
    if log_place.url is None:
        assert log_place.rows() == 3
    (part,) = store.logs.parts(PATH)
    for offset in (0, 1, LARGEST_ROW - 1, LARGEST_ROW, 2 * LARGEST_ROW + 9, len(LONG) - 1, len(LONG)):
        pieces = list(store.logs.read(part.id, offset))
        assert b"".join(pieces) == LONG[offset:]
        assert all(0 < len(piece) <= 256 * 1024 for piece in pieces)


def test_a_growing_log_is_merged_too(store: Store, log_place: Place, worker: UUID, job: ClaimedJob) -> None:
    text = random.Random(8).randbytes(257)
    send(store, worker, job, text, pieces=1)
    with log_place.sessions() as session:
        assert session.scalars(select(LogRow.tidy_at)).one() == NOW
    while store.log_upkeep.tidy(log_place.url, clock=lambda: NOW):
        pass
    assert log_place.rows() == 1
    send(store, worker, job, text + b"more", begin=len(text))
    assert whole(store) == text + b"more"
    finish(store, worker, job, text + b"more")
    log_place.tidy()
    assert whole(store) == text + b"more"


def test_readers_see_neither_gap_nor_double_while_a_log_is_laid_elsewhere(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob
) -> None:
    send(store, worker, job, LONG, pieces=60_000)
    finish(store, worker, job, LONG)
    (part,) = store.logs.parts(PATH)
    begun = store.logs.read(part.id)
    first = [next(begun) for _ in range(20)]
    done = threading.Event()

    def read_again_and_again() -> int:
        count = 0
        while not (done.is_set() and count):
            assert b"".join(log_place.store.logs.read(part.id)) == LONG
            count += 1
        return count

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read_again_and_again) for _ in range(2)]
        try:
            threads.submit(log_place.tidy).result(timeout=300)
        finally:
            done.set()
        assert all(reader.result(timeout=300) for reader in readers)
    assert b"".join([*first, *begun]) == LONG


def test_two_that_tidy_at_once_do_no_harm(
    store: Store, log_place: Place, worker: UUID, objects: Callable[[], list[str]]
) -> None:
    texts = {f"dag_id=d/attempt={number}.log": random.Random(number).randbytes(400_000) for number in range(4)}
    for path, text in texts.items():
        job = running_job(store, log_place.sessions, worker, path)
        store.jobs.settle(worker, [ended(job)], now=NOW)
        send(store, worker, job, text, pieces=9_000)
        finish(store, worker, job, text)
    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(log_place.tidy) for _ in range(4)]:
            future.result(timeout=300)
    log_place.tidy()
    assert {path: whole(store, path) for path in texts} == texts
    assert (log_place.rows(), len(objects())) == ((4, 0) if log_place.url is None else (0, 4))


def test_wherever_a_process_dies_the_log_is_whole_and_the_next_one_goes_on(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob, objects: Callable[[], list[str]]
) -> None:
    engine = log_place.sessions.kw["bind"]
    if engine.dialect.name != "sqlite" or log_place.url is None:
        pytest.skip("it is about the order of the steps, which is the same everywhere, and the most are with an object")
    text = random.Random(12).randbytes(300_000)
    send(store, worker, job, text, pieces=9_000)
    finish(store, worker, job, text)
    ends, now = [], NOW
    for lives in range(20):
        # The one before has put the log off before it died.
        now += timedelta(minutes=11)
        command = [sys.executable, "-m", "tests.contract.dying"]
        arguments = [engine.url.render_as_string(), log_place.url or "", str(lives), now.isoformat()]
        ends.append(subprocess.run(command + arguments, cwd=ROOT, timeout=120, check=False).returncode)
        assert whole(store) == text
        assert len(objects()) <= 2
        if ends[-1] == 0:
            break
    assert ends == [*[KILLED] * (len(ends) - 1), 0]
    assert len(ends) > 3
    assert (log_place.rows(), len(objects())) == (0, 1)


def test_the_rest_of_a_log_is_given_up_after_a_week_and_taken_if_it_comes_all_the_same(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob, objects: Callable[[], list[str]]
) -> None:
    text = random.Random(9).randbytes(500_000)
    send(store, worker, job, text[:400_000], pieces=9_000)
    log_place.tidy(now=NOW + WEEK)
    assert store.logs.parts(PATH)[0].given_up_at is None, "its job still runs"
    store.jobs.lose(worker, [job.id], "", now=NOW)
    log_place.tidy(now=NOW + WEEK / 2)
    assert store.logs.parts(PATH)[0].given_up_at is None
    log_place.tidy(now=NOW + WEEK)
    (part,) = store.logs.parts(PATH)
    assert (part.given_up_at, part.complete) == (NOW + WEEK, False)
    assert whole(store) == text[:400_000]
    assert (log_place.rows(), len(objects())) == ((1, 0) if log_place.url is None else (0, 1))
    send(store, worker, job, text, begin=400_000, now=NOW + 2 * WEEK)
    assert store.logs.parts(PATH)[0].given_up_at is None
    assert whole(store) == text
    finish(store, worker, job, text, now=NOW + 2 * WEEK)
    log_place.tidy(now=NOW + 2 * WEEK)
    assert whole(store) == text
    assert (log_place.rows(), len(objects())) == ((1, 0) if log_place.url is None else (0, 1))


def test_a_log_that_was_given_up_may_begin_anew(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob, objects: Callable[[], list[str]]
) -> None:
    wrong, right = (random.Random(seed).randbytes(600_000) for seed in (10, 11))
    send(store, worker, job, wrong)
    store.jobs.lose(worker, [job.id], "", now=NOW)
    log_place.tidy(now=NOW + WEEK)
    text = wrong[:9] + right
    later = NOW + WEEK
    assert store.logs.finish(worker, end(job, text, 9), now=later) == LogProgress(len(wrong), complete=False)
    send(store, worker, job, text, begin=len(wrong), now=later)
    assert store.logs.finish(worker, end(job, text, 9), now=later) == LogProgress(9, complete=False)
    assert whole(store) == wrong[:9]
    send(store, worker, job, text, begin=9, now=later)
    assert store.logs.finish(worker, end(job, text, 9), now=later) == LogProgress(len(text), complete=True)
    log_place.tidy(now=later)
    assert whole(store) == text
    assert (log_place.rows(), len(objects())) == ((1, 0) if log_place.url is None else (0, 1))


def test_a_revoked_workers_logs_are_given_up_at_once(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob
) -> None:
    store.logs.append(worker, chunk(job, 0, b"half a lo"), now=NOW)
    store.workers.revoke("factory", now=NOW)
    log_place.tidy()
    (part,) = store.logs.parts(PATH)
    assert (part.given_up_at, part.revoked, whole(store)) == (NOW, True, b"half a lo")


def test_an_old_log_is_deleted_and_its_reader_is_told(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob, objects: Callable[[], list[str]]
) -> None:
    send(store, worker, job, LONG[:900_000])
    still_running = running_job(store, log_place.sessions, worker, "other")
    store.logs.append(worker, chunk(still_running, 0, b"here"), now=NOW)
    finish(store, worker, job, LONG[:900_000])
    store.jobs.settle(worker, [ended(job)], now=NOW)
    log_place.tidy()
    (part,) = store.logs.parts(PATH)
    begun = store.logs.read(part.id)
    later = NOW + timedelta(days=90)
    assert store.log_upkeep.expire(before=NOW, now=later, limit=9) == 0
    assert store.log_upkeep.expire(before=NOW + timedelta(seconds=1), now=later, limit=9) == 1
    assert list(begun) == []
    log_place.tidy(now=later)
    (part,) = store.logs.parts(PATH)
    assert (part.purged_at, part.size) == (later, 900_000)
    assert (whole(store), whole(store, "other"), objects()) == (b"", b"here", [])
    assert log_place.rows() == 1
    assert store.logs.append(worker, chunk(job, 900_000, b"late"), now=later) is None
    assert store.log_upkeep.expire(before=NOW, now=later + timedelta(days=364), limit=9) == 0
    assert store.logs.parts(PATH)
    store.log_upkeep.expire(before=NOW, now=later + timedelta(days=366), limit=9)
    assert store.logs.parts(PATH) == []


def test_deleting_waits_for_nobody_and_nobody_waits_for_it(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob
) -> None:
    if log_place.sessions.kw["bind"].dialect.name == "sqlite":
        pytest.skip("SQLite has one lock for everything; there each transaction is short, and that is all")
    store.logs.append(worker, chunk(job, 0, b"old"), now=NOW)
    busy = running_job(store, log_place.sessions, worker, "busy")
    store.logs.append(worker, chunk(busy, 0, b"old too"), now=NOW)
    store.jobs.settle(worker, [ended(job), ended(busy)], now=NOW)

    def expire() -> int:
        return store.log_upkeep.expire(before=NOW + timedelta(days=1), now=NOW + timedelta(days=90), limit=9)

    with log_place.sessions() as writing:
        writing.execute(select(LogRow).where(LogRow.path == "busy").with_for_update())
        assert expire() == 1
        log_place.store.log_upkeep.tidy(log_place.url, clock=lambda: NOW + timedelta(days=90))
        assert whole(store) == b""
    with log_place.sessions() as deleting:
        deleting.execute(update(LogRow).where(LogRow.path == "busy").values(purged_at=NOW))
        if log_place.sessions.kw["bind"].dialect.name == "postgresql":
            deleting.connection().exec_driver_sql("SET LOCAL lock_timeout = 1000")
        third = running_job(store, log_place.sessions, worker, "third")
        assert store.logs.append(worker, chunk(third, 0, b"new"), now=NOW) == LogProgress(3, complete=False)
    assert expire() == 1


def test_a_log_that_is_not_what_was_verified_stays_where_it_is(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob, objects: Callable[[], list[str]]
) -> None:
    if log_place.url is None:
        pytest.skip("nothing is moved")
    send(store, worker, job, b"12345")
    finish(store, worker, job, b"12345")
    with log_place.sessions() as session:
        session.execute(update(LogChunkRow).values(data=chunk(job, 0, b"54321").data))
        session.commit()
    with pytest.raises(LogUnreadableError, match="is not what was verified"):
        log_place.tidy()
    assert (whole(store), objects()) == (b"54321", [])


def test_bytes_that_somebody_deleted_are_said_to_be_missing(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob, objects: Callable[[], list[str]]
) -> None:
    send(store, worker, job, b"12345")
    finish(store, worker, job, b"12345")
    log_place.tidy()
    if log_place.url is None:
        with log_place.sessions() as session:
            session.execute(delete(LogChunkRow))
            session.commit()
    else:
        url_to_fs(log_place.url)[0].rm_file(objects()[0])
    with pytest.raises(LogUnreadableError, match=r"has lost the log's bytes from 0 on|FileNotFoundError"):
        whole(store)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("gs://logs", r"pip install 'airflow-edge\[gcs\]'"),
        ("nonsense://logs", "Protocol not known"),
        ("file:///proc/version/logs", "NotADirectoryError"),
        ("s3://no-such-bucket/x", "NoSuchBucket|does not exist"),
    ],
)
def test_a_log_store_that_cannot_be_used_says_why_and_the_log_stays_in_the_database(
    store: Store, log_place: Place, s3: S3FileSystem, worker: UUID, job: ClaimedJob, url: str, advice: str
) -> None:
    if log_place.url is not None:
        pytest.skip("it is about other log stores")
    with pytest.raises(LogStoreError, match=advice) as caught:
        ObjectStore(url).check()
    assert "[edge] log_store" in str(caught.value)
    send(store, worker, job, b"12345")
    finish(store, worker, job, b"12345")
    with pytest.raises(LogStoreError, match=advice):
        Place(log_place.sessions, url).tidy()
    assert whole(store) == b"12345"
    Place(log_place.sessions, BUCKET).tidy()
    assert (whole(store), log_place.rows(), len(s3.find(BUCKET))) == (b"12345", 0, 1)


def test_a_log_store_that_works_is_left_as_it_was(
    store: Store, log_place: Place, objects: Callable[[], list[str]], tmp_path: Path
) -> None:
    url = log_place.url or f"file://{tmp_path}/another"
    ObjectStore(url).check()
    assert objects() == []


def test_logs_are_read_where_they_lie_whatever_is_configured_now(
    store: Store, log_place: Place, worker: UUID, job: ClaimedJob, tmp_path: Path
) -> None:
    send(store, worker, job, b"12345")
    finish(store, worker, job, b"12345")
    Place(log_place.sessions, f"file://{tmp_path}/before").tidy()
    log_place.tidy()
    assert whole(store) == b"12345"
    assert len([path for path in (tmp_path / "before").rglob("*") if path.is_file()]) == 1
