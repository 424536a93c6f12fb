from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from airflow_edge.store.store import Store
from airflow_edge.store.workers.passed_requests import Incoming, Outgoing, Passage, PassedRequest
from tests.contract.world import NOW

ASKER, OWNER, OTHER = "a" * 16, "b" * 16, "c" * 16


def request(**fields) -> PassedRequest:
    return PassedRequest(
        **{
            "id": uuid4(),
            "asker": ASKER,
            "owner": OWNER,
            "worker_id": uuid4(),
            "link": uuid4().hex,
            "token_id": "x" * 64,
            "expires_at": NOW + timedelta(minutes=2),
            "body": bytes(range(256)),
            "asked_at": NOW,
            **fields,
        }
    )


def test_a_request_is_taken_once_and_its_answer_is_given_once(store: Store) -> None:
    exchange = store.passed_requests.exchange
    asked = request()
    assert exchange(ASKER, Outgoing(asked=[asked])).ours == {asked.id: Passage.ASKED}
    assert exchange(OTHER, Outgoing()) == Incoming()
    assert exchange(OWNER, Outgoing()).requests == [asked]
    assert exchange(ASKER, Outgoing()).ours == {asked.id: Passage.TAKEN}
    again = exchange(OWNER, Outgoing())
    assert (again.requests, again.others) == ((), {asked.id: Passage.TAKEN})
    exchange(OWNER, Outgoing(answers=[(asked, b"\0answer")]))
    assert exchange(ASKER, Outgoing()).answers == {asked.id: b"\0answer"}
    assert exchange(ASKER, Outgoing()) == exchange(OWNER, Outgoing()) == Incoming()


def test_whoever_works_on_a_request_sees_that_nobody_waits_for_it(store: Store) -> None:
    exchange = store.passed_requests.exchange
    asked, kept = request(), request()
    exchange(ASKER, Outgoing(asked=[asked, kept]))
    assert {one.id for one in exchange(OWNER, Outgoing()).requests} == {asked.id, kept.id}
    exchange(ASKER, Outgoing(given_up=[asked]))
    told = exchange(OWNER, Outgoing(answers=[(asked, b"late"), (kept, b"in time")]))
    assert told.others == {kept.id: Passage.ANSWERED}


def test_a_body_may_be_as_long_as_a_frame(store: Store) -> None:
    exchange = store.passed_requests.exchange
    asked = request(body=b"\xff" * (8 * 1024 * 1024))
    exchange(ASKER, Outgoing(asked=[asked]))
    assert exchange(OWNER, Outgoing()).requests == [asked]
    exchange(OWNER, Outgoing(answers=[(asked, asked.body)]))
    assert exchange(ASKER, Outgoing()).answers == {asked.id: asked.body}


def test_what_is_left_of_those_that_are_gone_is_forgotten(store: Store) -> None:
    store.passed_requests.exchange(ASKER, Outgoing(asked=[request(), request(asked_at=NOW + timedelta(hours=1))]))
    assert store.passed_requests.forget(before=NOW, limit=9) == 0
    assert store.passed_requests.forget(before=NOW + timedelta(minutes=1), limit=9) == 1
    assert len(store.passed_requests.exchange(ASKER, Outgoing()).ours) == 1
