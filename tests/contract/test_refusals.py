"""What a worker's owner does not allow there goes to another worker, and fails when none is left."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.messages import Closed, Refused
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.fleet.closing import CLOSED, closures, write_closures
from airflow_edge.rules.matching import QueueKey
from airflow_edge.rules.reports import Reading
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.store import Store
from airflow_edge.store.tables import RefusalRow
from tests.contract.world import LEASE, NOW, capacity, claim, enrolled, new_job, queue, row, state

WHY = "by its owner's site policy (/p.toml on that machine): Dag 'dag' is none of its dags"
LATER = NOW + timedelta(seconds=5)


def deny(store: Store, job: ClaimedJob, *, why: str = WHY) -> Reading:
    report = Refused(job_id=str(job.id), assignment=job.assignment, reason=why, denied=True)
    return store.jobs.settle(job.worker_id, [report], now=LATER)[0]


def test_it_waits_for_another_worker_and_is_not_offered_to_the_same_one_again(
    store: Store, sessions: sessionmaker[Session]
) -> None:
    first, second = enrolled(store, name="press-7"), enrolled(store, name="press-8")
    job = new_job()
    queue(sessions, job, new_job(dag_id="other", priority_weight=0))
    [claimed] = claim(store, capacity(first.id))
    assert deny(store, claimed, why=f"{WHY}\n\x1b[31m") is Reading.APPLY
    assert state(sessions, job.id) is JobState.QUEUED
    assert store.refusals.of_job(job.id) == {first.id: WHY}
    assert store.refusals.of_log(job.log_path) == [f"worker 'press-7' refused it {WHY}"]
    assert [one.dag_id for one in claim(store, capacity(first.id, free_slots=8))] == ["other"]
    nothing = store.queue.claim([capacity(first.id, free_slots=8)], lease_until=NOW + LEASE, now=NOW)
    assert (nothing.jobs, nothing.more, nothing.left) == ([], set(), {QueueKey(None, "default")})
    # Nor does one that both could serve go to the one with more room.
    [again] = claim(store, capacity(first.id, free_slots=8), capacity(second.id))
    assert (again.id, again.worker_id, again.assignment) == (job.id, second.id, 2)


def test_so_many_that_were_refused_do_not_hide_the_others(store: Store, sessions: sessionmaker[Session]) -> None:
    first = enrolled(store)
    enrolled(store)
    queue(sessions, *(new_job(priority_weight=9) for _ in range(3)), new_job(dag_id="other"))
    for claimed in claim(store, capacity(first.id, free_slots=3)):
        deny(store, claimed)
    assert [one.dag_id for one in claim(store, capacity(first.id))] == ["other"]


def test_it_fails_with_the_sentence_when_no_worker_is_left(store: Store, sessions: sessionmaker[Session]) -> None:
    first, second = enrolled(store, name="press-7"), enrolled(store, name="press-8")
    # Neither of another queue nor of another life.
    enrolled(store, queues=("gpu",))
    store.workers.revoke(enrolled(store, name="gone").name, now=NOW)
    job = new_job()
    queue(sessions, job)
    [claimed] = claim(store, capacity(first.id))
    deny(store, claimed)
    [claimed] = claim(store, capacity(second.id))
    assert deny(store, claimed) is Reading.APPLY
    found = row(sessions, job.id)
    assert (found.state, found.reason) == (JobState.FAILED, f"worker 'press-8' refused it {WHY}")
    assert (found.ended_at, found.lease_until, found.started_at) == (LATER, None, None)
    # What comes twice changes nothing.
    assert deny(store, claimed) is not Reading.APPLY


def test_a_worker_that_is_only_away_keeps_it_waiting_until_it_is_revoked(
    store: Store, sessions: sessionmaker[Session]
) -> None:
    first, away = enrolled(store, name="press-7"), enrolled(store)
    job = new_job()
    queue(sessions, job, new_job())
    claimed = next(one for one in claim(store, capacity(first.id, free_slots=2)) if one.id == job.id)
    deny(store, claimed)
    assert store.refusals.fail_hopeless(now=LATER, limit=10) == 0
    assert state(sessions, job.id) is JobState.QUEUED
    store.workers.revoke(away.name, now=LATER)
    assert store.refusals.fail_hopeless(now=LATER, limit=10) == 1
    assert row(sessions, job.id).reason == f"worker 'press-7' refused it {WHY}"
    assert store.refusals.fail_hopeless(now=LATER, limit=10) == 0


def test_a_worker_whose_owner_has_closed_the_queue_for_good_is_none_that_is_left(
    store: Store, sessions: sessionmaker[Session]
) -> None:
    first, closed = enrolled(store), enrolled(store)
    said = closures([Closed(queues=("default",), reason="it is none of its queues", for_good=True)])
    store.workers.seen({closed.id: WorkerState.IDLE}, {closed.id: {CLOSED: write_closures(said)}}, now=NOW)
    assert {one.id: one.closed for one in store.fleet.glances()} == {first.id: {}, closed.id: said}
    job = new_job()
    queue(sessions, job)
    [claimed] = claim(store, capacity(first.id))
    deny(store, claimed)
    assert state(sessions, job.id) is JobState.FAILED


def test_refusals_are_forgotten_with_their_job(store: Store, sessions: sessionmaker[Session]) -> None:
    first = enrolled(store)
    queue(sessions, new_job())
    [claimed] = claim(store, capacity(first.id))
    deny(store, claimed)
    late = LATER + timedelta(days=30)
    assert store.jobs.purge(succeeded_before=late, failed_before=late, limit=10) == 1
    with sessions() as session:
        assert session.scalars(select(RefusalRow)).all() == []


def test_other_refusals_are_no_reason_to_ask_another_worker(store: Store, sessions: sessionmaker[Session]) -> None:
    first = enrolled(store)
    queue(sessions, new_job())
    [claimed] = claim(store, capacity(first.id))
    report = Refused(job_id=str(claimed.id), assignment=claimed.assignment, reason="the disk is full")
    store.jobs.settle(first.id, [report], now=NOW + LEASE)
    assert [one.id for one in claim(store, capacity(first.id))] == [claimed.id]
