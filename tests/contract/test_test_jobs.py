from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.matching import Capacity
from airflow_edge.rules.overview import JobFilter
from airflow_edge.rules.worker import Worker
from airflow_edge.store.jobs import outbox
from airflow_edge.store.jobs.claims import Waiting
from airflow_edge.store.jobs.testing import NO_QUEUE
from airflow_edge.store.store import Store
from tests.contract.world import NOW, accepted, claim, ended, enrolled, facts, new_job, queue, row

LATER = NOW + timedelta(seconds=5)


@pytest.fixture
def worker(store: Store) -> Worker:
    return linked(store)


def linked(store: Store) -> Worker:
    worker = enrolled(store)
    store.workers.link({worker.id: facts()}, now=NOW)
    found = store.workers.get(worker.id)
    assert found is not None
    return found


def ask(store: Store, worker: Worker) -> UUID:
    asked = store.worker_tests.ask(worker.id, now=NOW)
    assert asked is not None
    assert asked.job_id is not None
    assert asked.why_not == ""
    return asked.job_id


def room(worker: Worker, *queues: str, free_slots: int = 1) -> Capacity:
    return Capacity(
        worker_id=worker.id,
        queues=frozenset(queues),
        team_name=worker.team_name,
        free_slots=free_slots,
    )


def test_it_is_handed_to_its_worker_before_anything_else_and_to_no_other(
    store: Store, sessions: sessionmaker[Session], worker: Worker
) -> None:
    other = linked(store)
    queue(sessions, new_job(priority_weight=1000))
    job_id = ask(store, worker)
    assert [job.kind for job in claim(store, room(other, "default"))] == ["task"]
    queue(sessions, new_job(priority_weight=1000))
    (job,) = claim(store, room(worker, "default"))
    assert (job.id, job.kind, job.queue, job.slots, job.workload) == (job_id, "test", NO_QUEUE, 1, "{}")
    assert store.jobs.settle(worker.id, [accepted(job)], now=NOW) == ["apply"]
    assert store.jobs.settle(worker.id, [ended(job)], now=LATER) == ["apply"]
    found = store.fleet.history_of(job_id)
    assert found is not None
    assert (found.job.kind, found.job.state, found.job.worker) == ("test", JobState.SUCCEEDED, worker.name)
    assert [(step.event, step.text) for step in found.journey] == [
        ("queued", f"for worker '{worker.name}'"),
        ("offered", ""),
        ("accepted", ""),
        ("ended", "succeeded"),
    ]


def test_asked_for_again_it_is_the_same_until_it_has_ended(store: Store, worker: Worker) -> None:
    first = ask(store, worker)
    assert ask(store, worker) == first
    (job,) = claim(store, room(worker))
    assert ask(store, worker) == first
    store.jobs.settle(worker.id, [accepted(job), ended(job)], now=NOW)
    assert ask(store, worker) != first
    assert ask(store, linked(store)) != first


def test_a_worker_that_would_get_none_is_refused_with_what_to_do(store: Store, worker: Worker) -> None:
    store.workers.seen({worker.id: WorkerState.MAINTENANCE_MODE}, {}, now=NOW)
    asked = store.worker_tests.ask(worker.id, now=NOW)
    assert asked is not None
    assert asked.job_id is None
    assert "take it out first" in asked.why_not
    assert store.worker_tests.ask(uuid4(), now=NOW) is None
    assert store.fleet.find_jobs(JobFilter(worker=worker.name), limit=9).total == 0


def test_it_belongs_to_no_scheduler_and_counts_in_no_queue(
    store: Store, sessions: sessionmaker[Session], worker: Worker
) -> None:
    job_id = ask(store, worker)
    with sessions() as session:
        for owner in (None, 7):
            assert outbox.owned(session, owner) == []
            assert outbox.ended(session, owner) == []
            assert outbox.adopt(session, [job_id], owner) == []
        session.commit()
    _, demands, _ = store.fleet.overview(now=NOW + timedelta(minutes=5))
    assert demands == []
    found = store.fleet.find_jobs(JobFilter(worker=worker.name), limit=9)
    assert [(job.id, job.kind, job.state) for job in found.items] == [(job_id, "test", JobState.QUEUED)]
    (job,) = claim(store, room(worker))
    store.jobs.settle(worker.id, [accepted(job), ended(job, exit_code=1)], now=NOW)
    with sessions() as session:
        assert outbox.ended(session, None) == []
    assert store.fleet.overview(now=NOW + timedelta(minutes=5))[1] == []


def test_it_is_given_up_once_and_only_while_it_waits(
    store: Store, sessions: sessionmaker[Session], worker: Worker
) -> None:
    job_id = ask(store, worker)
    assert [job.id for job in store.fleet.waiting_tests()] == [job_id]
    assert store.worker_tests.cancel(job_id, "nobody took it", now=LATER)
    assert not store.worker_tests.cancel(job_id, "again", now=LATER)
    job = row(sessions, job_id)
    assert (job.state, job.reason, job.ended_at, job.to_stop) == (JobState.CANCELLED, "nobody took it", LATER, False)
    assert store.fleet.waiting_tests() == ()
    second = ask(store, worker)
    assert [job.id for job in claim(store, room(worker))] == [second]
    assert not store.worker_tests.cancel(second, "too late", now=LATER)
    queued = new_job()
    queue(sessions, queued)
    assert not store.worker_tests.cancel(queued.id, "no test", now=LATER)


def test_unanswered_it_waits_for_the_same_worker_again(store: Store, worker: Worker) -> None:
    job_id = ask(store, worker)
    claim(store, room(worker))
    assert store.jobs.expire_leases({job_id: 1}, now=NOW) == 1
    assert claim(store, room(linked(store))) == []
    assert [(job.id, job.assignment) for job in claim(store, room(worker))] == [(job_id, 2)]


def test_when_its_worker_is_revoked_it_waits_to_be_given_up_or_is_lost(
    store: Store, sessions: sessionmaker[Session], worker: Worker
) -> None:
    offered = ask(store, worker)
    claim(store, room(worker))
    store.workers.revoke(worker.name, now=NOW)
    assert row(sessions, offered).state is JobState.QUEUED
    other = linked(store)
    running = ask(store, other)
    (job,) = claim(store, room(other))
    store.jobs.settle(other.id, [accepted(job)], now=NOW)
    store.workers.revoke(other.name, now=NOW)
    assert row(sessions, running).state is JobState.LOST


def test_to_see_that_one_waits_is_no_transaction_that_writes(
    store: Store, sessions: sessionmaker[Session], worker: Worker
) -> None:
    """Else each look of each gateway would lock the database for minutes."""
    ask(store, worker)
    seen: list[str] = []
    with sessions() as session:
        engine = session.get_bind()

    def note(connection, cursor, statement, parameters, context, executemany):
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert store.queue.waiting() == Waiting(tests=frozenset({worker.id}))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert seen
    assert not [statement for statement in seen if "FOR UPDATE" in statement or "BEGIN" in statement]


def test_it_is_purged_like_others(store: Store, sessions: sessionmaker[Session], worker: Worker) -> None:
    job_id = ask(store, worker)
    store.worker_tests.cancel(job_id, "nobody took it", now=NOW)
    assert store.jobs.purge(succeeded_before=LATER, failed_before=LATER, limit=9) == 1
