from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.rules.model import CallAnswer, CallMemory
from airflow_edge.store.sql import SqlStore
from tests.contract.world import NOW, new_job, queue

ANSWER = CallAnswer(200, "application/json", b'{"\x00": 1}')


def test_a_call_is_known_from_its_beginning_on_and_its_answer_kept(store: SqlStore) -> None:
    job_id = uuid4()
    assert store.begin_call("a" * 64, job_id) is None
    assert store.begin_call("a" * 64, job_id) == CallMemory(None)
    store.remember_call("a" * 64, ANSWER)
    assert store.begin_call("a" * 64, job_id) == CallMemory(ANSWER)
    assert store.begin_call("b" * 64, job_id) is None
    store.forget_call("a" * 64)
    assert store.begin_call("a" * 64, job_id) is None


def test_a_call_that_arrives_twice_at_once_begins_once(store: SqlStore) -> None:
    job_id = uuid4()
    with ThreadPoolExecutor(8) as threads:
        known = list(threads.map(lambda _: store.begin_call("c" * 64, job_id), range(8)))
    assert sorted(map(str, known)) == sorted(map(str, [None, *[CallMemory(None)] * 7]))


def test_calls_are_forgotten_with_their_jobs(store: SqlStore, sessions: sessionmaker[Session]) -> None:
    job = new_job()
    queue(sessions, job)
    store.begin_call("d" * 64, job.id)
    store.begin_call("e" * 64, uuid4())
    assert store.forget_calls() == 1
    assert store.forget_calls() == 0
    assert store.begin_call("d" * 64, job.id) == CallMemory(None)


def test_a_job_is_superseded_by_a_newer_one_of_the_same_task(store: SqlStore, sessions: sessionmaker[Session]) -> None:
    task_id = uuid4()
    first, second, other = new_job(workload_id=task_id), new_job(workload_id=task_id), new_job()
    queue(sessions, first)
    queue(sessions, other, now=NOW + timedelta(hours=1))
    assert not store.superseded(first.id)
    queue(sessions, second, now=NOW + timedelta(seconds=1))
    assert store.superseded(first.id)
    assert not store.superseded(second.id)
    assert not store.superseded(uuid4())
