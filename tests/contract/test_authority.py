"""How far the authority of jobs goes, as the store knows it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.states import JobState
from airflow_edge.store.jobs.authority import IdleJob
from airflow_edge.store.store import Store
from tests.contract.world import NOW, accepted, capacity, claim, ended, new_job, queue, row

Sessions = sessionmaker[Session]
LATER = NOW + timedelta(seconds=30)


def test_a_job_begins_once_and_for_its_holder_only(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job())
    (job,) = claim(store, capacity(worker))
    assert not store.job_authority.begin(job.id, 2, now=NOW)
    assert not store.job_authority.begin(uuid4(), 1, now=NOW)
    assert store.job_authority.begin(job.id, 1, now=NOW)
    assert store.job_authority.begin(job.id, 1, now=LATER)
    held = store.jobs.confirm(worker, job.id, 1, now=NOW)
    assert held is not None
    assert (held.begun_at, held.calls_until) == (NOW, None)
    store.jobs.settle(worker, [ended(job)], now=NOW)
    assert not store.job_authority.begin(job.id, 1, now=LATER)


def test_what_ended_the_calls_first_counts(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job(), new_job())
    one, two = claim(store, capacity(worker, free_slots=2))
    assert store.job_authority.close({one.id: 1, two.id: 2}, until=NOW, released=True) == 1
    assert store.job_authority.close({one.id: 1, two.id: 1}, until=LATER, released=False) == 1
    kept = [store.jobs.confirm(worker, job.id, 1, now=NOW) for job in (one, two)]
    assert [(job.calls_until, job.released) for job in kept if job] == [(NOW, True), (LATER, False)]
    assert store.job_authority.close({}, until=LATER, released=True) == 0


def test_a_job_that_was_accepted_and_not_begun_goes_back_once(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job(), new_job(), new_job(), new_job(kind="callback"))
    jobs = claim(store, capacity(worker, free_slots=9))
    idle, begun, offered = (job for job in jobs if job.kind == "task")
    store.jobs.settle(worker, [accepted(job) for job in jobs if job.id != offered.id], now=NOW)
    store.job_authority.begin(begun.id, 1, now=NOW)
    assert store.job_authority.idle() == [IdleJob(idle.id, 1, worker, is_over=False)]
    assert store.job_authority.give_back({idle.id: 2}, now=LATER) == 0
    everything = {job.id: 1 for job in jobs}
    assert store.job_authority.give_back(everything, now=LATER) == 1
    assert store.job_authority.give_back(everything, now=LATER) == 0
    kept = row(sessions, idle.id)
    assert (kept.state, kept.started_at, kept.offered_at) == (JobState.QUEUED, None, None)
    assert store.jobs.confirm(worker, idle.id, 1, now=LATER) is None
    (again,) = claim(store, capacity(uuid4()))
    assert (again.id, again.assignment) == (idle.id, 2)


def test_a_job_that_has_nothing_to_do_any_more_is_lost_once(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job(), new_job(), new_job())
    over, busy, unwanted = claim(store, capacity(worker, free_slots=3))
    store.jobs.settle(worker, [accepted(over), accepted(busy), accepted(unwanted)], now=NOW)
    for job in (over, busy):
        store.job_authority.begin(job.id, 1, now=NOW)
    store.job_authority.close({over.id: 1, unwanted.id: 1}, until=NOW, released=True)
    closed = {IdleJob(job.id, 1, worker, is_over=True) for job in (over, unwanted)}
    assert set(store.job_authority.idle()) == closed
    everything = {over.id: 1, busy.id: 1}
    assert store.job_authority.lose(everything, "it says nothing", now=LATER) == 1
    assert store.job_authority.lose(everything, "it says nothing", now=LATER) == 0
    kept = row(sessions, over.id)
    assert (kept.state, kept.reason, kept.ended_at) == (JobState.LOST, "it says nothing", LATER)
    assert row(sessions, busy.id).state is JobState.RUNNING
