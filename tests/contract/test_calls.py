from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.store.jobs.execution_calls import CallAnswer, CallMemory
from airflow_edge.store.store import Store
from tests.contract.world import NOW, accepted, capacity, claim, ended, new_job, queue

ANSWER = CallAnswer(200, "application/json", b'{"\x00": 1}')


def test_a_call_is_known_from_its_beginning_on_and_its_answer_kept(store: Store) -> None:
    job_id = uuid4()
    assert store.calls.begin("a" * 64, job_id) is None
    assert store.calls.begin("a" * 64, job_id) == CallMemory(None)
    store.calls.remember("a" * 64, ANSWER)
    assert store.calls.begin("a" * 64, job_id) == CallMemory(ANSWER)
    assert store.calls.begin("b" * 64, job_id) is None
    store.calls.forget("a" * 64)
    assert store.calls.begin("a" * 64, job_id) is None


def test_a_call_that_arrives_twice_at_once_begins_once(store: Store) -> None:
    job_id = uuid4()
    with ThreadPoolExecutor(8) as threads:
        known = list(threads.map(lambda _: store.calls.begin("c" * 64, job_id), range(8)))
    assert sorted(map(str, known)) == sorted(map(str, [None, *[CallMemory(None)] * 7]))


def test_calls_are_forgotten_with_their_jobs(store: Store, sessions: sessionmaker[Session]) -> None:
    old, new = new_job(), new_job()
    queue(sessions, old, new)
    worker = uuid4()
    for job in claim(store, capacity(worker, free_slots=2)):
        store.calls.begin(job.id.hex, job.id)
        if job.id == old.id:
            store.jobs.settle(worker, [accepted(job), ended(job)], now=NOW)
    far = NOW + timedelta(days=9)
    assert store.jobs.purge(succeeded_before=far, failed_before=far, limit=9) == 1
    assert store.calls.begin(old.id.hex, old.id) is None
    assert store.calls.begin(new.id.hex, new.id) == CallMemory(None)


def test_a_job_is_superseded_by_a_newer_one_of_the_same_task(store: Store, sessions: sessionmaker[Session]) -> None:
    task_id = uuid4()
    first, second, other = new_job(workload_id=task_id), new_job(workload_id=task_id), new_job()
    queue(sessions, first)
    queue(sessions, other, now=NOW + timedelta(hours=1))
    assert not store.calls.superseded(first.id)
    queue(sessions, second, now=NOW + timedelta(seconds=1))
    assert store.calls.superseded(first.id)
    assert not store.calls.superseded(second.id)
    assert not store.calls.superseded(uuid4())
