"""What has happened to workers is written with the change itself."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.liveness import Silence
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import OtherInstance
from airflow_edge.store.store import Store
from airflow_edge.store.tables import WorkerEventRow
from airflow_edge.store.workers.events import MOST_KEPT
from airflow_edge.store.workers.instances import Claim
from tests.contract.world import NOW, enrolled, facts, token

MINUTE = timedelta(minutes=1)


def events(store: Store, worker, limit=99):
    page = store.events.newest(worker.id, limit=limit)
    assert page.total >= len(page.events)
    return [(event.kind, event.text, event.by) for event in reversed(page.events)]


def kinds(store: Store, worker):
    return [kind for kind, _, _ in events(store, worker)]


def test_a_life_from_enrolment_to_revocation(store: Store) -> None:
    store.enroll_tokens.create(token(), "hash")
    worker = store.enroll_tokens.enroll("hash", "w", b"k" * 32, now=NOW)
    life, first, second, third = uuid4(), uuid4(), uuid4(), uuid4()
    here = {"life": life, "host_name": "press", "address": "192.0.2.7"}
    store.workers.link({worker.id: facts(**here, link_id=first)}, now=NOW)
    # It comes and goes, as links do.
    store.workers.unlink(worker.id, first, WorkerState.UNKNOWN, now=NOW)
    store.workers.link({worker.id: facts(**here, link_id=second)}, now=NOW)
    store.workers.seen({worker.id: WorkerState.RUNNING}, {}, now=NOW)
    store.workers.seen({worker.id: WorkerState.IDLE}, {worker.id: {"conditions": "disk full"}}, now=NOW)
    store.workers.seen({worker.id: WorkerState.IDLE}, {worker.id: {"conditions": ""}}, now=NOW)
    store.workers.mark_unreachable({worker.id: Silence(NOW, NOW + MINUTE)})
    store.workers.seen({worker.id: WorkerState.IDLE}, {}, now=NOW + MINUTE)
    again = facts(**{**here, "life": uuid4(), "link_id": third})
    store.workers.link({worker.id: again}, {worker.id: Claim(last_link=str(second))}, now=NOW + MINUTE)
    store.workers.unlink(worker.id, third, WorkerState.OFFLINE, now=NOW + MINUTE)
    store.workers.revoke("w", now=NOW + MINUTE)
    where = "'press' at 192.0.2.7, agent 1"
    assert events(store, worker) == [
        ("enrolled", "for default, größe", "somebody"),
        ("linked", where, None),
        ("condition", "disk full", None),
        ("condition gone", "disk full", None),
        ("out of reach", "", None),
        ("back", "", None),
        ("restarted", where, None),
        ("offline", "it has said goodbye", None),
        ("revoked", "", None),
    ]


def test_what_people_want_is_told_with_who_wanted_it(store: Store) -> None:
    worker = enrolled(store, name="w")
    store.workers.link({worker.id: facts()}, now=NOW)
    rest = store.orders.give(worker.id, Wish("maintenance", "new disk"), by="ann", now=NOW)
    assert rest is not None
    store.orders.obeyed(worker.id, rest.id, WorkerState.MAINTENANCE_MODE, done=True, detail="", now=NOW)
    for wish in (Wish("exit maintenance"), Wish("concurrency", number=3), Wish("rename", "x")):
        order = store.orders.give(worker.id, wish, by="bob", now=NOW)
        assert order is not None
        store.orders.obeyed(worker.id, order.id, WorkerState.IDLE, done=True, detail="", now=NOW)
    store.workers.change_queues(worker.id, add=["plc"], now=NOW)
    assert events(store, worker)[2:] == [
        ("maintenance", "new disk", "ann"),
        ("order", "maintenance 'new disk': done", "ann"),
        ("order", "exit maintenance: done", "bob"),
        ("maintenance ended", "", "bob"),
        ("order", "concurrency 3: done", "bob"),
        ("order", "rename 'x': done", "bob"),
        ("renamed", "from 'w' to 'x'", "bob"),
        ("queues", "it serves default, plc", None),
    ]


def test_a_copied_key_and_a_refused_version_are_told_once(store: Store) -> None:
    worker = enrolled(store)
    life = uuid4()
    for _ in range(2):
        store.workers.link({worker.id: facts(version_refused="too old", life=life)}, now=NOW)
        copy = OtherInstance(instance="i", host_name="copy", address="192.0.2.8", last_tried_at=NOW)
        store.instances.note_other(worker.id, copy)
    assert kinds(store, worker) == ["enrolled", "linked", "version refused", "copied key"]


def test_events_in_pages_until_they_are_old_or_too_many(store: Store, sessions) -> None:
    worker, other = enrolled(store), enrolled(store)
    with sessions() as session:
        for number in range(MOST_KEPT + 5):
            session.add(WorkerEventRow(worker_id=worker.id, at=NOW, kind="back", text=str(number)))
        session.commit()
    first = store.events.newest(worker.id, limit=2)
    assert ([event.text for event in first.events], first.total) == ([str(MOST_KEPT + 4), str(MOST_KEPT + 3)], 1006)
    then = store.events.newest(worker.id, limit=1, before=first.events[-1].id)
    assert [event.text for event in then.events] == [str(MOST_KEPT + 2)]
    assert store.events.purge(before=NOW - MINUTE, limit=4, now=NOW) == 4
    assert store.events.purge(before=NOW - MINUTE, limit=99, now=NOW) == 2
    assert store.events.newest(worker.id, limit=1).total == MOST_KEPT
    assert store.events.purge(before=NOW - MINUTE, limit=99, now=NOW) == 0
    assert store.events.purge(before=NOW + MINUTE, limit=5_000, now=NOW) == MOST_KEPT + 1
    assert kinds(store, other) == []


def test_events_go_with_their_worker(store: Store) -> None:
    worker = enrolled(store)
    store.workers.revoke(worker.name, now=NOW)
    assert kinds(store, worker) == ["enrolled", "revoked"]
    assert store.workers.remove(worker.id, now=NOW) == ""
    assert kinds(store, worker) == []
