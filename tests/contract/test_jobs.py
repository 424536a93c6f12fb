from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.messages import Ended, Refused, Released
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.liveness import Patience, Silence
from airflow_edge.rules.reports import Reading
from airflow_edge.store import queueing
from airflow_edge.store.jobs import outbox
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.store import Store
from tests.contract.world import (
    LEASE,
    NOW,
    accepted,
    capacity,
    claim,
    ended,
    enrolled,
    facts,
    new_job,
    queue,
    row,
    state,
)

Sessions = sessionmaker[Session]


def test_a_claim_hands_a_job_out_under_the_next_number(store: Store, sessions: Sessions) -> None:
    job, worker = new_job(slots=2), uuid4()
    queue(sessions, job)
    (claimed,) = claim(store, capacity(worker, free_slots=2))
    assert (claimed.id, claimed.assignment, claimed.worker_id, claimed.workload) == (job.id, 1, worker, job.workload)
    kept = row(sessions, job.id)
    assert (kept.state, kept.worker_id, kept.lease_until) == (JobState.LEASED, worker, NOW + LEASE)
    assert claim(store, capacity(worker, free_slots=9)) == []


def test_a_claim_goes_by_priority_then_by_age(store: Store, sessions: Sessions) -> None:
    low, late, soon, high = (new_job(priority_weight=weight) for weight in (1, 5, 5, 9))
    queue(sessions, late, now=NOW + timedelta(milliseconds=1))
    queue(sessions, low, soon, high)
    worker = uuid4()
    claims = [claim(store, capacity(worker))[0].id for _ in range(4)]
    assert claims == [high.id, soon.id, late.id, low.id]


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, True),
        ({"queue": "other"}, False),
        ({"team_name": "a"}, False),
        ({"slots": 2}, False),
        ({"queue": "Default"}, False),
    ],
)
def test_a_worker_gets_only_what_it_may_have(
    store: Store, sessions: Sessions, fields: dict[str, object], fits: bool
) -> None:
    queue(sessions, new_job(**fields))
    assert bool(claim(store, capacity(uuid4()))) is fits


def test_no_claim_says_more_at_once_than_databases_read(store: Store, sessions: Sessions) -> None:
    queue(sessions, *(new_job(queue=f"q{number % 3}") for number in range(1_200)))
    sizes: list[int] = []

    def note(_connection, _cursor, _statement, parameters, _context, _many) -> None:
        sizes.append(len(parameters))

    engine = sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert len(claim(store, capacity(uuid4(), "q0", "q1", "q2", free_slots=1_200))) == 1_200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    # SQLite may take no more than 32,766 values, psycopg 3 no more than 65,535.
    assert max(sizes) < 2_000


def test_a_team_gets_its_own_jobs_only(store: Store, sessions: Sessions) -> None:
    queue(sessions, own := new_job(team_name="a"), new_job(team_name="b"), new_job())
    assert [job.id for job in claim(store, capacity(uuid4(), free_slots=9, team_name="a"))] == [own.id]


def test_big_jobs_that_fit_nowhere_do_not_hold_up_the_small_ones_behind(store: Store, sessions: Sessions) -> None:
    queue(sessions, *(new_job(slots=3, priority_weight=9) for _ in range(5)))
    queue(sessions, *(new_job() for _ in range(5)))
    assert Counter(job.slots for job in claim(store, capacity(uuid4(), free_slots=4))) == {3: 1, 1: 1}


def test_a_job_larger_than_any_worker_waits_and_holds_nobody_up(store: Store, sessions) -> None:
    large, small = new_job(slots=9, priority_weight=9), new_job()
    queue(sessions, large, small)
    workers = [capacity(uuid4(), free_slots=slots) for slots in (8, 4)]
    assert [job.id for job in claim(store, *workers)] == [small.id]
    assert claim(store, *workers) == []
    assert (row(sessions, large.id).state, row(sessions, large.id).assignment) == (JobState.QUEUED, 0)


def test_what_is_claimed_at_once_by_many_is_claimed_once(store: Store, sessions: Sessions) -> None:
    jobs = [new_job(queue=f"q{number % 3}") for number in range(120)]
    queue(sessions, *jobs)

    def take(_: int) -> list[tuple[object, int]]:
        worker = uuid4()
        taken: list[tuple[object, int]] = []
        while claimed := claim(store, capacity(worker, "q0", "q1", "q2", free_slots=7)):
            taken += [(job.id, job.assignment) for job in claimed]
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [one for some in pool.map(take, range(8)) for one in some]
    assert sorted(taken, key=str) == sorted(((job.id, 1) for job in jobs), key=str)


def test_a_job_in_a_transaction_that_is_rolled_back_never_was(store: Store, sessions: Sessions) -> None:
    with sessions() as session:
        queueing.add_job(session, new_job(), now=NOW)
        session.rollback()
    assert claim(store, capacity(uuid4())) == []


def test_a_lease_that_runs_out_puts_the_job_back_under_the_next_number(store: Store, sessions: Sessions) -> None:
    queue(sessions, new_job())
    (first,) = claim(store, capacity(uuid4()))
    offers = store.jobs.offered()
    assert offers[first.id] == 1
    assert store.jobs.expire_leases({first.id: 2}, now=NOW) == 0
    assert store.jobs.expire_leases({first.id: 1}, now=NOW) == 1
    (second,) = claim(store, capacity(uuid4()))
    assert (second.id, second.assignment) == (first.id, 2)
    # Who still thinks of the offer before cannot end this one.
    assert store.jobs.expire_leases({first.id: 1}, now=NOW) == 0
    assert store.jobs.settle(first.worker_id, [accepted(first), ended(first)], now=NOW) == [Reading.VOID, Reading.VOID]
    assert state(sessions, first.id) is JobState.LEASED


def test_reports_are_taken_once_and_in_any_number(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job(), new_job())
    one, two = claim(store, capacity(worker, free_slots=2))
    readings = store.jobs.settle(worker, [accepted(one), accepted(one), ended(one), accepted(two), ended(one)], now=NOW)
    assert readings == [Reading.APPLY, Reading.APPLY, Reading.APPLY, Reading.APPLY, Reading.OLD_NEWS]
    assert (state(sessions, one.id), state(sessions, two.id)) == (JobState.SUCCEEDED, JobState.RUNNING)
    assert store.jobs.settle(uuid4(), [ended(two)], now=NOW) == [Reading.VOID]
    assert store.jobs.settle(worker, [Ended(job_id=str(uuid4()), assignment=1)], now=NOW) == [Reading.VOID]


def test_an_end_says_how(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, *(new_job() for _ in range(4)))
    jobs = claim(store, capacity(worker, free_slots=4))
    ends: list[dict[str, Any]] = [
        {"exit_code": 3},
        {"signal": 9},
        {},
        {"exit_code": 1, "reason": "disk\0full"},
    ]
    store.jobs.settle(
        worker,
        [Ended(job_id=str(job.id), assignment=1, **end) for job, end in zip(jobs, ends, strict=True)],
        now=NOW,
    )
    reasons = [row(sessions, job.id).reason for job in jobs]
    assert "exit status 3" in reasons[0]
    assert "signal 9" in reasons[1]
    assert "nobody saw" in reasons[2]
    assert reasons[3] == "disk full"


@pytest.mark.parametrize("code", [2**63 - 1, -(2**63), 2**64 - 1])
def test_no_exit_status_overflows(store: Store, sessions: Sessions, code: int) -> None:
    worker = uuid4()
    queue(sessions, new_job())
    (job,) = claim(store, capacity(worker))
    assert store.jobs.settle(worker, [ended(job, code)], now=NOW) == [Reading.APPLY]
    assert state(sessions, job.id) is JobState.FAILED


def test_a_refused_job_goes_elsewhere_at_once(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job())
    (job,) = claim(store, capacity(worker))
    refused = Refused(job_id=str(job.id), assignment=1, reason="draining")
    assert store.jobs.settle(worker, [refused, refused], now=NOW) == [Reading.APPLY, Reading.OLD_NEWS]
    (again,) = claim(store, capacity(uuid4()))
    assert again.assignment == 2


def test_the_gate_opens_for_the_holder_only(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job())
    (job,) = claim(store, capacity(worker))
    assert store.jobs.confirm(uuid4(), job.id, 1, now=NOW) is None
    assert store.jobs.confirm(worker, job.id, 2, now=NOW) is None
    held = store.jobs.confirm(worker, job.id, 1, now=NOW)
    assert held is not None
    assert held.state is JobState.RUNNING
    assert row(sessions, job.id).started_at == NOW
    assert job.id not in store.jobs.offered()
    assert store.jobs.expire_leases({job.id: 1}, now=NOW) == 0
    store.jobs.settle(worker, [ended(job)], now=NOW)
    assert store.jobs.confirm(worker, job.id, 1, now=NOW) is None


def test_a_released_job_is_still_held(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job(), new_job())
    one, two = claim(store, capacity(worker, free_slots=2))
    store.jobs.settle(worker, [Released(job_id=str(one.id), assignment=1)], now=NOW)
    held = {job.id: (job.state, job.released) for job in store.jobs.held_by([worker])}
    assert held == {one.id: (JobState.RUNNING, True), two.id: (JobState.LEASED, False)}


def test_a_job_is_lost_once(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, new_job(), new_job())
    one, two = claim(store, capacity(worker, free_slots=2))
    store.jobs.settle(worker, [accepted(one), accepted(two), ended(two)], now=NOW)
    assert store.jobs.lose(uuid4(), [one.id], "gone", now=NOW) == []
    assert store.jobs.lose(worker, [one.id, two.id], "gone", now=NOW) == [one.id]
    assert store.jobs.lose(worker, [one.id], "gone", now=NOW) == []
    assert store.jobs.settle(worker, [ended(one)], now=NOW) == [Reading.OLD_NEWS]
    assert (row(sessions, one.id).state, row(sessions, one.id).reason) == (JobState.LOST, "gone")


def test_the_running_jobs_of_a_worker_are_lost_after_the_grace(store: Store, sessions: Sessions) -> None:
    patience = Patience(timedelta(seconds=15), timedelta(seconds=900))
    silent, alive = enrolled(store), enrolled(store)
    queue(sessions, *(new_job() for _ in range(3)))
    one, two, leased = claim(store, capacity(silent.id, free_slots=3))
    store.jobs.settle(silent.id, [accepted(one), accepted(two), ended(two)], now=NOW)
    for worker in (silent, alive):
        store.workers.link({worker.id: facts()}, now=NOW)
    later = NOW + timedelta(seconds=901)
    store.workers.seen({alive.id: WorkerState.IDLE}, {}, now=later)
    for until, lost in ((NOW + timedelta(seconds=900), 0), (later, 1), (later, 0)):
        silences = {worker.id: Silence(NOW, until) for worker in (silent, alive)}
        assert store.jobs.lose_unreachable(silences, patience, now=NOW) == lost
    states = [state(sessions, job.id) for job in (one, two, leased)]
    assert states == [JobState.LOST, JobState.SUCCEEDED, JobState.LEASED]
    assert "15m ([edge] disconnect_grace)" in row(sessions, one.id).reason


def test_each_job_has_the_grace_of_its_worker_or_of_its_queue(store: Store, sessions: Sessions) -> None:
    patience = Patience(timedelta(seconds=15), timedelta(minutes=15), {"plc": timedelta(hours=12)})
    plain, patient = enrolled(store), enrolled(store)
    assert store.workers.set_disconnect_grace([patient.name], timedelta(days=2)) == []
    jobs: dict[str, ClaimedJob] = {}
    for worker, queue_name in ((plain, "default"), (plain, "plc"), (patient, "plc")):
        queue(sessions, new_job(queue=queue_name))
        (job,) = claim(store, capacity(worker.id, queue_name))
        store.jobs.settle(worker.id, [accepted(job)], now=NOW)
        jobs[f"{queue_name} of {'plain' if worker is plain else 'patient'}"] = job
    for worker in (plain, patient):
        store.workers.link({worker.id: facts()}, now=NOW)

    def running() -> set[str]:
        return {name for name, job in jobs.items() if state(sessions, job.id) is JobState.RUNNING}

    assert store.jobs.awaited(patience, now=NOW + timedelta(seconds=15)) == {}
    waits = store.jobs.awaited(patience, now=NOW + timedelta(seconds=16))
    assert (waits[plain.id].jobs, waits[patient.id].jobs) == (2, 1)
    assert waits[plain.id].first_lost_after == NOW + timedelta(minutes=15)
    assert waits[plain.id].last_lost_after == NOW + timedelta(hours=12)
    assert waits[patient.id].last_lost_after == NOW + timedelta(days=2)
    second = timedelta(seconds=1)

    def lose(silent: timedelta) -> int:
        silences = {worker.id: Silence(NOW, NOW + silent) for worker in (plain, patient)}
        return store.jobs.lose_unreachable(silences, patience, now=NOW)

    assert lose(timedelta(minutes=15) + second) == 1
    assert running() == {"plc of plain", "plc of patient"}
    assert lose(timedelta(hours=12)) == 0
    assert lose(timedelta(hours=12) + second) == 1
    assert running() == {"plc of patient"}
    assert "12h ([edge] queue_disconnect_grace)" in row(sessions, jobs["plc of plain"].id).reason
    # What an admin says meanwhile holds at once.
    store.workers.set_disconnect_grace([patient.name], timedelta(hours=13))
    assert lose(timedelta(hours=13) + second) == 1
    assert "13h (the worker's own grace)" in row(sessions, jobs["plc of patient"].id).reason


def test_only_what_is_booked_and_has_its_log_is_purged_before_a_day_is_over(store: Store, sessions: Sessions) -> None:
    worker = uuid4()
    queue(sessions, *(new_job() for _ in range(4)))
    booked, unbooked, failed, refused = claim(store, capacity(worker, free_slots=4))
    store.jobs.settle(worker, [accepted(booked), accepted(failed)], now=NOW)
    store.jobs.settle(worker, [ended(booked), ended(unbooked), ended(failed, 1), ended(refused)], now=NOW)
    with sessions.begin() as session:
        outbox.book(session, [booked.id, failed.id, refused.id], 7, now=NOW)

    def purge(minutes: float, limit: int = 9) -> int:
        now = NOW + timedelta(minutes=minutes)
        return store.jobs.purge(
            succeeded_before=now - timedelta(minutes=5), failed_before=now - timedelta(minutes=60), limit=limit
        )

    assert purge(4) == 0
    assert purge(6) == 1
    assert purge(61) == 0
    assert purge(26 * 60, limit=1) == 1
    assert purge(26 * 60) == 2


def test_what_a_worker_has_and_the_centre_does_not_count_with_is_named(store: Store, sessions: Sessions) -> None:
    worker, other = uuid4(), uuid4()
    queue(sessions, *(new_job() for _ in range(6)))
    jobs = claim(store, capacity(worker, free_slots=6))
    leased, running, ended_well, lost, cancelled, moved = jobs
    store.jobs.settle(worker, [accepted(job) for job in jobs if job not in {leased, moved}], now=NOW)
    store.jobs.settle(worker, [ended(ended_well)], now=NOW)
    store.jobs.lose(worker, [lost.id], "gone", now=NOW)
    with sessions.begin() as session:
        outbox.cancel(session, [cancelled.id], 7, "revoked", now=NOW)
    store.jobs.expire_leases({moved.id: 1}, now=NOW)
    claim(store, capacity(other))
    keys = [job.key for job in jobs]
    # One that was cancelled is stopped, and its end is waited for.
    gone = [(worker, job.key) for job in (ended_well, lost, moved)]
    assert store.jobs.not_held({worker: keys, other: [moved.key]}) == [*gone, (other, moved.key)]
    assert store.jobs.not_held({other: [replace(moved, assignment=2).key]}) == []
    store.jobs.settle(worker, [ended(cancelled)], now=NOW)
    assert store.jobs.not_held({worker: [cancelled.key, running.key]}) == [(worker, cancelled.key)]
