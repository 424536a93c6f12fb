"""What a job's way was is remembered with the changes themselves."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from airflow_edge.protocol.messages import Refused
from airflow_edge.rules.overview import JobFilter
from airflow_edge.store.jobs import outbox
from airflow_edge.store.store import Store
from tests.contract.world import NOW, accepted, capacity, claim, ended, enrolled, new_job, queue

SECOND = timedelta(seconds=1)


def events(store: Store, job_id):
    found = store.fleet.history_of(job_id)
    assert found is not None
    return [(step.event, step.worker, step.assignment, (step.at - NOW) // SECOND) for step in found.journey]


def test_each_handing_out_is_remembered(store: Store, sessions) -> None:
    names = ("refuses", "silent", "revoked", "good")
    workers = {name: enrolled(store, name=name) for name in names}
    job = new_job()
    queue(sessions, job)

    def offered(name, seconds):
        [claimed] = claim(store, capacity(workers[name].id), now=NOW + seconds * SECOND)
        return claimed

    first = offered("refuses", 1)
    refusal = Refused(job_id=str(job.id), assignment=first.assignment, reason="no slot\nwas free")
    store.jobs.settle(workers["refuses"].id, [refusal], now=NOW + 2 * SECOND)
    offered("silent", 3)
    assert store.jobs.expire_leases({job.id: 2}, now=NOW + 14 * SECOND) == 1
    offered("revoked", 15)
    store.workers.revoke("revoked", now=NOW + 16 * SECOND)
    assert [event for event, *_ in events(store, job.id)][-1] == "taken back"
    last = offered("good", 20)
    store.jobs.settle(workers["good"].id, [accepted(last)], now=NOW + 21 * SECOND)
    store.jobs.settle(workers["good"].id, [ended(last)], now=NOW + 30 * SECOND)
    with sessions() as session:
        outbox.book(session, [job.id], 7, now=NOW + 31 * SECOND)
        session.commit()
    assert events(store, job.id) == [
        ("queued", None, None, 0),
        ("offered", "refuses", 1, 1),
        ("refused", "refuses", 1, 2),
        ("offered", "silent", 2, 3),
        ("expired", "silent", 2, 14),
        ("offered", "revoked", 3, 15),
        ("taken back", "revoked", 3, 16),
        ("offered", "good", 4, 20),
        ("accepted", "good", 4, 21),
        ("ended", "good", 4, 30),
        ("booked", None, None, 31),
    ]
    found = store.fleet.history_of(job.id)
    assert found is not None
    assert next(step.text for step in found.journey if step.event == "refused") == "no slot was free"
    assert store.fleet.history_of(uuid4()) is None


def test_jobs_are_searched_by_what_they_are(store: Store, sessions) -> None:
    first, second = new_job(dag_id="Press_Line", task_id="scan"), new_job(dag_id="etl", run_id="manual__2026")
    queue(sessions, first, second)

    def found(search):
        return {job.id for job in store.fleet.find_jobs(JobFilter(search=search), limit=9).items}

    assert found("press") == found("PRESS_LINE") == found("sca") == found("press*") == {first.id}
    assert found("MANUAL") == found("e?l") == {second.id}
    assert found("pressxline") == found("ress*") == found("%") == set()
    assert found("_") == {first.id, second.id}
