from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.logs.logs import LogProgress, TaskLogs
from airflow_edge.store.store import Store
from airflow_edge.store.transactions import Transactions
from tests.contract.log_world import PATH, Place, Sessions, TidiedLogs, chunk, end, running_job, send
from tests.contract.world import NOW, capacity, claim, enrolled, new_job, queue, row
from tests.stored_logs import read_log


@pytest.fixture
def sessions(log_place: Place) -> Sessions:
    return log_place.sessions


@pytest.fixture
def store(log_place: Place) -> Store:
    store = log_place.store
    if log_place.url is not None:
        store.logs = TidiedLogs(log_place)
    return store


@pytest.fixture
def worker(store: Store) -> UUID:
    return enrolled(store, name="factory").id


@pytest.fixture
def job(store: Store, sessions: Sessions, worker: UUID) -> ClaimedJob:
    return running_job(store, sessions, worker)


def test_a_log_arrives_byte_for_byte_whatever_comes_twice_or_late(
    store: Store, sessions: Sessions, worker: UUID, job: ClaimedJob
) -> None:
    whole = random.Random(1).randbytes(300_000) + "schön\n".encode() * 9000
    pieces = [(start, whole[start : start + 20_000]) for start in range(0, len(whole), 20_000)]
    store.logs.append(worker, chunk(job, *pieces[1]), now=NOW)
    for start, piece in pieces:
        for _ in range(2):
            progress = store.logs.append(worker, chunk(job, start, piece), now=NOW)
            assert progress == LogProgress(start + len(piece), complete=False)
    assert read_log(store, PATH) == whole
    assert store.logs.finish(worker, end(job, whole), now=NOW) == LogProgress(len(whole), complete=True)
    assert store.logs.append(worker, chunk(job, len(whole), b"more"), now=NOW) == LogProgress(len(whole), complete=True)
    assert read_log(store, PATH) == whole
    assert row(sessions, job.id).log_complete
    (part,) = store.logs.parts(PATH)
    assert (part.worker_name, part.size, part.complete) == ("factory", len(whole), True)


def test_a_restarted_worker_sends_from_the_beginning_in_other_pieces(
    store: Store, worker: UUID, job: ClaimedJob
) -> None:
    whole = b"0123456789"
    store.logs.append(worker, chunk(job, 0, whole[:4]), now=NOW)
    assert store.logs.append(worker, chunk(job, 0, whole[:3]), now=NOW) == LogProgress(4, complete=False)
    assert store.logs.append(worker, chunk(job, 3, whole[3:9]), now=NOW) == LogProgress(9, complete=False)
    assert store.logs.append(worker, chunk(job, 9, whole[9:]), now=NOW) == LogProgress(10, complete=False)
    assert store.logs.finish(worker, end(job, whole), now=NOW) == LogProgress(10, complete=True)
    assert read_log(store, PATH) == whole


@pytest.mark.parametrize("fields", [{"crc32": 1}, {"size": 4}, {"size": 6}, {"data": b"junk"}, {"data": b""}])
def test_a_damaged_piece_is_not_kept(store: Store, worker: UUID, job: ClaimedJob, fields: dict[str, object]) -> None:
    assert store.logs.append(worker, chunk(job, 0, b"right"), now=NOW) == LogProgress(5, complete=False)
    assert store.logs.append(worker, chunk(job, 5, b"wrong", **fields), now=NOW) == LogProgress(5, complete=False)
    assert read_log(store, PATH) == b"right"


@pytest.mark.held("a chunk of a log that unpacks to far more, or wants a huge window")
def test_a_piece_that_would_unpack_to_more_than_it_says_is_not_unpacked(
    store: Store, worker: UUID, job: ClaimedJob
) -> None:
    bomb = chunk(job, 0, b"\0" * 50_000_000, size=10)
    assert store.logs.append(worker, bomb, now=NOW) == LogProgress(0, complete=False)


@pytest.mark.held("an offset at the end of all numbers")
@pytest.mark.parametrize("offset", [2**31, 2**53, 2**63 - 1])
def test_a_piece_for_far_beyond_the_end_is_not_kept(store: Store, worker: UUID, job: ClaimedJob, offset: int) -> None:
    assert store.logs.append(worker, chunk(job, 0, b"begun"), now=NOW) == LogProgress(5, complete=False)
    assert store.logs.append(worker, chunk(job, offset, b"far"), now=NOW) == LogProgress(5, complete=False)
    assert store.logs.append(worker, chunk(job, 5, b" ended"), now=NOW) == LogProgress(11, complete=False)
    assert read_log(store, PATH) == b"begun ended"


def test_an_end_that_comes_too_early_sends_the_site_back(store: Store, worker: UUID, job: ClaimedJob) -> None:
    store.logs.append(worker, chunk(job, 0, b"12345"), now=NOW)
    assert store.logs.finish(worker, end(job, b"1234567"), now=NOW) == LogProgress(5, complete=False)
    store.logs.append(worker, chunk(job, 5, b"67"), now=NOW)
    assert store.logs.finish(worker, end(job, b"1234567"), now=NOW) == LogProgress(7, complete=True)
    assert store.logs.finish(worker, end(job, b"1234567"), now=NOW) == LogProgress(7, complete=True)


def test_a_log_that_differs_begins_anew(store: Store, worker: UUID, job: ClaimedJob) -> None:
    store.logs.append(worker, chunk(job, 0, b"12345"), now=NOW)
    assert store.logs.finish(worker, end(job, b"12x45"), now=NOW) == LogProgress(0, complete=False)
    assert read_log(store, PATH) == b""
    store.logs.append(worker, chunk(job, 0, b"12x45"), now=NOW)
    assert store.logs.finish(worker, end(job, b"12x45"), now=NOW) == LogProgress(5, complete=True)


def test_a_log_whose_file_was_truncated_is_checked_from_there_on(store: Store, worker: UUID, job: ClaimedJob) -> None:
    whole = random.Random(2).randbytes(1_500_000)
    start = 700_001
    wrong = whole[:-1] + bytes([whole[-1] ^ 1])
    send(store, worker, job, wrong)
    assert store.logs.finish(worker, end(job, whole, start), now=NOW) == LogProgress(start, complete=False)
    assert read_log(store, PATH) == whole[:start]
    store.logs.append(worker, chunk(job, start, whole[start : start + 9]), now=NOW)
    for offset in range(start + 9, len(whole), 200_000):
        store.logs.append(worker, chunk(job, offset, whole[offset : offset + 200_000]), now=NOW)
    assert store.logs.finish(worker, end(job, whole, start), now=NOW) == LogProgress(len(whole), complete=True)
    assert read_log(store, PATH) == whole


def test_a_log_that_is_longer_than_its_end_says_begins_anew(store: Store, worker: UUID, job: ClaimedJob) -> None:
    send(store, worker, job, b"12345", pieces=2)
    assert store.logs.finish(worker, end(job, b"123"), now=NOW) == LogProgress(0, complete=False)


def test_a_long_log_that_begins_anew_while_it_is_checked_is_checked_again(
    store: Store, sessions: Sessions, worker: UUID, job: ClaimedJob
) -> None:
    wrong, right = (random.Random(seed).randbytes(1_000_000) for seed in (3, 4))
    send(store, worker, job, wrong)

    class Slow(TaskLogs):
        def read(self, part_id: UUID, offset: int = 0) -> Iterator[bytes]:
            yield from super().read(part_id, offset)
            if not rewound:
                rewound.append(store.logs.finish(worker, end(job, right), now=NOW))
                send(store, worker, job, right)

    rewound: list[LogProgress | None] = []
    slow = Slow(Transactions(sessions))
    assert slow.finish(worker, end(job, right), now=NOW) == LogProgress(len(right), complete=True)
    assert rewound == [LogProgress(0, complete=False)]
    assert read_log(store, PATH) == right


def test_a_part_says_what_is_missing_and_why(store: Store, sessions: Sessions, worker: UUID, job: ClaimedJob) -> None:
    store.logs.append(worker, chunk(job, 0, b"12345"), now=NOW)
    (part,) = store.logs.parts(PATH)
    assert (part.worker_state, part.job_state, part.revoked) == (WorkerState.OFFLINE, JobState.RUNNING, False)
    assert (part.size, part.expected_size, part.complete) == (5, None, False)
    later = NOW + timedelta(seconds=9)
    store.workers.seen({worker: WorkerState.RUNNING}, {}, now=later)
    store.logs.append(worker, chunk(job, 5, b"6"), now=later)
    store.logs.finish(worker, end(job, b"12345678"), now=later)
    (part,) = store.logs.parts(PATH)
    assert (part.worker_state, part.last_seen_at) == (WorkerState.RUNNING, later)
    assert (part.created_at, part.changed_at) == (NOW, later)
    assert (part.size, part.expected_size, part.complete) == (6, 8, False)
    store.workers.revoke("factory", now=later)
    (part,) = store.logs.parts(PATH)
    assert (part.revoked, part.job_state) == (True, JobState.LOST)
    store.jobs.purge(succeeded_before=later + timedelta(days=9), failed_before=later + timedelta(days=9), limit=9)
    assert [part.job_state for part in store.logs.parts(PATH)] == [None]


def test_a_part_is_read_from_any_offset(store: Store, worker: UUID, job: ClaimedJob) -> None:
    whole = random.Random(5).randbytes(900_000)
    send(store, worker, job, whole)
    (part,) = store.logs.parts(PATH)
    for offset in (0, 1, 199_999, 200_000, 200_001, 899_999, 900_000, 900_001):
        assert b"".join(store.logs.read(part.id, offset)) == whole[offset:]


@pytest.mark.parametrize("whole", [b"", b"\0\0\0", "ü".encode()[:1], b"\n", b"\r\n\r", b"\xff" * 300_000])
def test_odd_bytes_are_bytes(store: Store, worker: UUID, job: ClaimedJob, whole: bytes) -> None:
    send(store, worker, job, whole)
    assert store.logs.finish(worker, end(job, whole), now=NOW) == LogProgress(len(whole), complete=True)
    assert read_log(store, PATH) == whole


def test_only_the_worker_that_had_the_job_writes_its_log(store: Store, worker: UUID, job: ClaimedJob) -> None:
    assert store.logs.append(uuid4(), chunk(job, 0, b"x"), now=NOW) is None
    assert store.logs.append(worker, chunk(job, 0, b"x", assignment=2), now=NOW) is None
    assert store.logs.append(worker, chunk(job, 0, b"x", job_id=str(uuid4())), now=NOW) is None
    assert store.logs.finish(uuid4(), end(job, b""), now=NOW) is None
    assert read_log(store, PATH) == b""


def test_a_log_goes_on_when_its_job_is_forgotten(store: Store, worker: UUID, job: ClaimedJob) -> None:
    store.logs.append(worker, chunk(job, 0, b"12345"), now=NOW)
    store.jobs.lose(worker, [job.id], "", now=NOW)
    late = NOW + timedelta(days=2)
    assert store.jobs.purge(succeeded_before=late, failed_before=late, limit=9) == 1
    assert store.logs.append(worker, chunk(job, 5, b"67"), now=NOW) == LogProgress(7, complete=False)


def test_what_two_jobs_write_to_one_path_is_read_in_their_order(
    store: Store, sessions: Sessions, worker: UUID, job: ClaimedJob
) -> None:
    queue(sessions, new_job(log_path=PATH), new_job(log_path="other"))
    second, other = sorted(
        claim(store, capacity(worker, free_slots=2)), key=lambda job: log_path(sessions, job) != PATH
    )
    store.logs.append(worker, chunk(job, 0, b"before the deferral "), now=NOW)
    store.logs.append(worker, chunk(second, 0, b"after"), now=NOW + timedelta(seconds=1))
    store.logs.append(worker, chunk(other, 0, b"nothing of this"), now=NOW)
    assert read_log(store, PATH) == b"before the deferral after"


def log_path(sessions: Sessions, job: ClaimedJob) -> str:
    return row(sessions, job.id).log_path


@pytest.mark.attack(14)
def test_a_log_that_is_too_long_is_cut_with_a_line_that_says_so_and_is_complete(
    store: Store, sessions: Sessions, worker: UUID, job: ClaimedJob
) -> None:
    """Nothing that comes later changes it, and a tidied one is read as it was."""
    most = 1024
    assert store.logs.append(worker, chunk(job, 0, b"a" * 1000), now=NOW, most=most) == LogProgress(
        1000, complete=False
    )
    progress = store.logs.append(worker, chunk(job, 1000, b"b" * 1000), now=NOW, most=most)
    assert progress is not None
    assert progress.complete
    kept = read_log(store, PATH)
    assert kept.startswith(b"a" * 1000 + b"b" * 24 + b"\n{")
    assert b"[edge] log_max_size" in kept
    assert kept.endswith(b"}\n")
    assert len(kept) == progress.offset
    assert store.logs.append(worker, chunk(job, 2000, b"more"), now=NOW, most=most) == progress
    assert store.logs.finish(worker, end(job, b"a" * 1000 + b"b" * 1000), now=NOW) == progress
    assert read_log(store, PATH) == kept
    assert row(sessions, job.id).log_complete
