from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest

from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.states import MAINTENANCE, OFFLINE_AS, REQUESTS, WorkerState
from airflow_edge.rules.orders import AlreadySoError, OrderState, Wish
from airflow_edge.store.store import Store
from tests.contract.world import NOW, capacity, claim, enrolled, facts, new_job, queue

LATER = NOW + timedelta(seconds=5)


def give(store, worker, kind, text="", number=None, now=NOW):
    return store.orders.give(worker.id, Wish(kind, text, number), by="ada", now=now)


def seen(store, worker):
    found = store.workers.get(worker.id)
    return found.state, found.maintenance_comment


def linked(store, **fields):
    worker = enrolled(store)
    link = facts(**fields)
    store.workers.link({worker.id: link}, now=NOW)
    return worker, link


def test_what_was_asked_shows_until_the_worker_has_answered(store: Store) -> None:
    worker, _ = linked(store)
    order = give(store, worker, "maintenance", "new disk")
    assert order is not None
    assert (order.state, order.asked_by, order.text) == (OrderState.WAITING, "ada", "new disk")
    assert seen(store, worker) == (WorkerState.MAINTENANCE_REQUEST, "new disk")
    store.workers.seen({worker.id: WorkerState.RUNNING}, {}, now=LATER)
    assert seen(store, worker) == (WorkerState.MAINTENANCE_REQUEST, "new disk")
    assert store.orders.waiting([worker.id, uuid4()]) == [order]
    assert store.orders.obeyed(worker.id, order.id, WorkerState.MAINTENANCE_PENDING, done=True, detail="", now=LATER)
    assert seen(store, worker) == (WorkerState.MAINTENANCE_PENDING, "new disk")
    assert not store.orders.obeyed(worker.id, order.id, WorkerState.IDLE, done=True, detail="", now=LATER)
    store.workers.seen({worker.id: WorkerState.MAINTENANCE_MODE}, {}, now=LATER)
    assert seen(store, worker) == (WorkerState.MAINTENANCE_MODE, "new disk")
    answered = store.orders.get(order.id)
    assert answered is not None
    assert (answered.state, answered.finished_at) == (OrderState.DONE, LATER)
    assert store.orders.waiting([worker.id]) == []


def test_an_answer_counts_only_from_the_worker_that_was_asked(store: Store) -> None:
    worker, _ = linked(store)
    other, _ = linked(store)
    order = give(store, worker, "maintenance")
    assert order is not None
    assert not store.orders.obeyed(other.id, order.id, WorkerState.IDLE, done=True, detail="", now=NOW)
    assert store.orders.get(order.id) == order


def test_leaving_maintenance_takes_its_comment_along(store: Store) -> None:
    worker, _ = linked(store, state=WorkerState.MAINTENANCE_MODE)
    comment = give(store, worker, "maintenance comment", "still at it")
    assert comment is not None
    assert seen(store, worker) == (WorkerState.MAINTENANCE_MODE, "still at it")
    leave = give(store, worker, "exit maintenance", now=LATER)
    assert leave is not None
    assert store.orders.waiting([worker.id]) == [leave]
    superseded = store.orders.get(comment.id)
    assert superseded is not None
    assert superseded.state is OrderState.SUPERSEDED
    assert seen(store, worker)[0] is WorkerState.MAINTENANCE_EXIT
    store.orders.obeyed(worker.id, leave.id, WorkerState.IDLE, done=True, detail="", now=LATER)
    assert seen(store, worker) == (WorkerState.IDLE, "")


def ask_until(store, worker, until, text="new disk"):
    return store.orders.give(worker.id, Wish("maintenance", text, until=until), by="ada", now=NOW)


def end_due(store, now):
    due = store.orders.maintenance_due(now)
    return [store.orders.end_maintenance(worker_id, until, now=now) for worker_id, until in due.items()]


def test_a_maintenance_ends_once_when_it_was_to_end(store: Store) -> None:
    worker, _ = linked(store)
    asked = ask_until(store, worker, LATER)
    assert asked is not None
    store.orders.obeyed(worker.id, asked.id, WorkerState.MAINTENANCE_MODE, done=True, detail="", now=NOW)
    found = store.workers.get(worker.id)
    assert found is not None
    assert (found.maintenance_until, found.maintenance_by) == (LATER, "ada")
    assert store.orders.maintenance_due(NOW) == {}
    due = store.orders.maintenance_due(LATER)
    assert due == {worker.id: LATER}
    [order] = end_due(store, LATER)
    assert (order.kind, order.asked_by) == ("exit maintenance", "ends as asked by ada")
    assert store.orders.end_maintenance(worker.id, LATER, now=LATER) is None
    assert store.orders.maintenance_due(LATER) == {}
    assert seen(store, worker)[0] is WorkerState.MAINTENANCE_EXIT
    store.orders.obeyed(worker.id, order.id, WorkerState.IDLE, done=True, detail="", now=LATER)
    found = store.workers.get(worker.id)
    assert found is not None
    assert (found.state, found.maintenance_by, found.maintenance_comment) == (WorkerState.IDLE, None, "")


def test_several_gateways_end_a_maintenance_once(store: Store) -> None:
    worker, _ = linked(store)
    ask_until(store, worker, LATER)
    with ThreadPoolExecutor(4) as gateways:
        given = list(gateways.map(lambda _: end_due(store, LATER), range(4)))
    assert [len([one for one in orders if one]) for orders in given].count(1) == 1
    assert len([one for one in store.orders.newest(worker.id, limit=9) if one.kind == "exit maintenance"]) == 1


@pytest.mark.parametrize("state", [WorkerState.OFFLINE, WorkerState.UNKNOWN])
def test_the_maintenance_of_one_that_is_not_linked_ends_too(store: Store, state: WorkerState) -> None:
    worker, link = linked(store)
    store.workers.unlink(worker.id, link.link_id, state, now=NOW)
    ask_until(store, worker, LATER)
    [order] = end_due(store, LATER)
    assert order.state is OrderState.WAITING
    after = {WorkerState.UNKNOWN: WorkerState.MAINTENANCE_EXIT}.get(state, state)
    assert seen(store, worker)[0] is after
    assert store.orders.waiting([worker.id]) == [order]


def test_a_new_wish_takes_the_place_of_an_end(store: Store) -> None:
    worker, _ = linked(store)
    ask_until(store, worker, LATER)
    ask_until(store, worker, LATER + timedelta(hours=1))
    assert end_due(store, LATER) == []
    assert store.orders.end_maintenance(worker.id, LATER, now=LATER) is None
    with pytest.raises(AlreadySoError):
        ask_until(store, worker, LATER + timedelta(hours=1))
    ask_until(store, worker, None)
    assert end_due(store, LATER + timedelta(days=9)) == []
    ask_until(store, worker, LATER)
    give(store, worker, "exit maintenance")
    assert end_due(store, LATER) == []


def test_what_the_site_began_in_between_does_not_end(store: Store) -> None:
    worker, _ = linked(store)
    order = ask_until(store, worker, LATER)
    assert order is not None
    store.orders.obeyed(worker.id, order.id, WorkerState.MAINTENANCE_MODE, done=True, detail="", now=NOW)
    store.workers.seen(
        {worker.id: WorkerState.MAINTENANCE_MODE}, {}, {worker.id: "a wire"}, {worker.id: "site"}, now=NOW
    )
    assert end_due(store, LATER) == [None]
    assert seen(store, worker) == (WorkerState.MAINTENANCE_MODE, "a wire")
    assert store.orders.maintenance_due(LATER) == {}


def test_one_that_shuts_down_in_maintenance_leaves_it_afterwards(store: Store) -> None:
    worker, link = linked(store)
    ask_until(store, worker, LATER)
    give(store, worker, "shutdown")
    assert end_due(store, LATER) == []
    store.workers.unlink(worker.id, link.link_id, WorkerState.MAINTENANCE_MODE, now=LATER)
    assert seen(store, worker)[0] is WorkerState.OFFLINE_MAINTENANCE
    [order] = end_due(store, LATER)
    assert (order.kind, seen(store, worker)) == ("exit maintenance", (WorkerState.OFFLINE, ""))


def test_a_refusal_leaves_the_worker_as_it_says_it_is(store: Store) -> None:
    worker, _ = linked(store)
    order = give(store, worker, "shutdown")
    assert order is not None
    assert seen(store, worker)[0] is WorkerState.SHUTDOWN_REQUEST
    store.orders.obeyed(worker.id, order.id, WorkerState.RUNNING, done=False, detail="not now", now=NOW)
    assert seen(store, worker)[0] is WorkerState.RUNNING
    refused = store.orders.get(order.id)
    assert refused is not None
    assert (refused.state, refused.detail) == (OrderState.REFUSED, "not now")


def test_what_is_so_or_makes_no_sense_is_said_and_changes_nothing(store: Store) -> None:
    worker, _ = linked(store)
    with pytest.raises(AlreadySoError, match="it is not in maintenance"):
        give(store, worker, "exit maintenance")
    with pytest.raises(IllegalTransitionError, match="it is not in maintenance; ask for that first"):
        give(store, worker, "maintenance comment")
    store.workers.revoke(worker.name, now=NOW)
    with pytest.raises(IllegalTransitionError, match="revoked"):
        give(store, worker, "maintenance")
    assert store.orders.newest(worker.id, limit=10) == []
    assert store.orders.give(uuid4(), Wish("restart"), by="ada", now=NOW) is None


def test_an_offline_worker_will_be_in_maintenance_when_it_comes_back(store: Store) -> None:
    worker = enrolled(store)
    order = give(store, worker, "maintenance", "moved")
    assert seen(store, worker) == (WorkerState.OFFLINE_MAINTENANCE, "moved")
    store.workers.link({worker.id: facts(state=WorkerState.IDLE)}, now=LATER)
    assert seen(store, worker) == (WorkerState.MAINTENANCE_REQUEST, "moved")
    assert store.orders.waiting([worker.id]) == [order]


def test_one_that_shuts_down_in_maintenance_is_offline_in_maintenance(store: Store) -> None:
    worker, link = linked(store, state=WorkerState.MAINTENANCE_MODE)
    store.workers.unlink(worker.id, link.link_id, WorkerState.MAINTENANCE_MODE, now=LATER)
    assert seen(store, worker)[0] is WorkerState.OFFLINE_MAINTENANCE


def test_one_that_went_by_itself_is_not_shut_down_again_when_it_returns(store: Store) -> None:
    worker, link = linked(store)
    order = give(store, worker, "shutdown")
    assert order is not None
    store.workers.unlink(worker.id, link.link_id, WorkerState.OFFLINE, now=LATER)
    assert seen(store, worker)[0] is WorkerState.OFFLINE
    assert store.orders.waiting([worker.id]) == []
    done = store.orders.get(order.id)
    assert done is not None
    assert done.state is OrderState.DONE


def test_one_that_vanished_is_still_asked(store: Store) -> None:
    worker, link = linked(store)
    order = give(store, worker, "maintenance")
    store.workers.unlink(worker.id, link.link_id, WorkerState.UNKNOWN, now=LATER)
    assert seen(store, worker)[0] is WorkerState.MAINTENANCE_REQUEST
    assert store.orders.waiting([worker.id]) == [order]


def test_old_answered_orders_are_deleted_and_waiting_ones_stay(store: Store) -> None:
    worker, _ = linked(store)
    waiting = give(store, worker, "concurrency", number=3)
    for _ in range(3):
        order = give(store, worker, "restart")
        assert order is not None
        store.orders.obeyed(worker.id, order.id, WorkerState.IDLE, done=True, detail="", now=NOW)
    assert store.orders.purge(before=NOW, limit=10) == 0
    assert store.orders.purge(before=LATER, limit=2) == 2
    assert store.orders.purge(before=LATER, limit=2) == 1
    assert store.orders.newest(worker.id, limit=10) == [waiting]


@pytest.mark.parametrize("kind", ["maintenance", "shutdown"])
def test_no_job_is_handed_out_once_it_was_asked_to_take_none(store: Store, sessions, kind) -> None:
    worker, _ = linked(store)
    other, _ = linked(store)
    queue(sessions, new_job(), new_job())
    order = give(store, worker, kind)
    assert order is not None
    [job] = claim(store, capacity(worker.id, free_slots=5), capacity(other.id))
    assert job.worker_id == other.id
    store.orders.obeyed(worker.id, order.id, WorkerState.IDLE, done=False, detail="", now=NOW)
    [job] = claim(store, capacity(worker.id, free_slots=5))
    assert job.worker_id == worker.id


def test_a_worker_has_its_new_name_when_it_has_taken_it(store: Store) -> None:
    worker, _ = linked(store)
    name = f"new-{worker.name}"
    order = give(store, worker, "rename", name)
    assert order is not None
    assert store.workers.named(name) is None
    store.orders.obeyed(worker.id, order.id, WorkerState.IDLE, done=True, detail="", now=LATER)
    renamed = store.workers.named(name)
    assert renamed is not None
    assert renamed.id == worker.id


def test_a_name_belongs_to_one_worker(store: Store) -> None:
    worker, _ = linked(store)
    other, _ = linked(store)
    with pytest.raises(IllegalTransitionError, match=f"another worker is called '{other.name}'"):
        give(store, worker, "rename", other.name)
    assert store.orders.waiting([worker.id]) == []
    # Both may be asked before one of them has answered.
    first, second = give(store, worker, "rename", "wanted"), give(store, other, "rename", "wanted")
    assert first is not None
    assert second is not None
    for asked, order in ((worker, first), (other, second)):
        store.orders.obeyed(asked.id, order.id, WorkerState.IDLE, done=True, detail="", now=LATER)
    states = [found.state for order in (first, second) if (found := store.orders.get(order.id))]
    assert states == [OrderState.DONE, OrderState.REFUSED]
    named = store.workers.get(other.id)
    assert named is not None
    assert named.name == other.name


@pytest.mark.parametrize("done", [True, False])
def test_a_worker_has_as_many_slots_as_it_says(store: Store, done: bool) -> None:
    worker, link = linked(store)
    order = give(store, worker, "concurrency", number=link.concurrency + 5)
    assert order is not None
    store.orders.obeyed(worker.id, order.id, WorkerState.IDLE, done=done, detail="", now=LATER)
    answered = store.workers.get(worker.id)
    assert answered is not None
    assert answered.concurrency == link.concurrency + (5 if done else 0)


def test_what_is_taken_back_from_an_offline_worker_takes_its_comment_along(store: Store) -> None:
    worker = enrolled(store)
    give(store, worker, "maintenance", "never mind")
    give(store, worker, "exit maintenance")
    assert seen(store, worker) == (WorkerState.OFFLINE, "")


@pytest.mark.parametrize(
    ("before", "kinds", "gone"),
    [
        (WorkerState.IDLE, ["maintenance"], WorkerState.OFFLINE_MAINTENANCE),
        (WorkerState.MAINTENANCE_MODE, ["exit maintenance"], WorkerState.OFFLINE),
        (WorkerState.MAINTENANCE_MODE, ["shutdown"], WorkerState.OFFLINE_MAINTENANCE),
        (WorkerState.IDLE, ["maintenance", "shutdown"], WorkerState.OFFLINE_MAINTENANCE),
        (WorkerState.MAINTENANCE_MODE, ["exit maintenance", "shutdown"], WorkerState.OFFLINE),
        (WorkerState.UNKNOWN, [], WorkerState.OFFLINE),
    ],
)
def test_one_that_goes_before_it_has_heard_is_what_it_was_asked_to_be(store: Store, before, kinds, gone) -> None:
    worker, link = linked(store, state=before)
    for kind in kinds:
        give(store, worker, kind)
    store.workers.seen({worker.id: before}, {}, {worker.id: "moved"} if before in MAINTENANCE else {}, now=NOW)
    store.workers.unlink(worker.id, link.link_id, OFFLINE_AS[before], now=LATER)
    assert seen(store, worker)[0] is gone
    found = store.workers.get(worker.id)
    assert found is not None
    assert found.asked_state in {None, *REQUESTS} - {WorkerState.SHUTDOWN_REQUEST}
    assert {order.kind for order in store.orders.waiting([worker.id])} == set(kinds) - {"shutdown"}
    if gone is WorkerState.OFFLINE:
        assert (found.maintenance_comment, found.maintenance_cause) == ("", None)


def test_what_was_asked_of_a_revoked_worker_is_not_asked_of_the_next_of_its_name(store: Store) -> None:
    worker, _ = linked(store, state=WorkerState.MAINTENANCE_MODE)
    give(store, worker, "maintenance comment", "stolen?")
    order = give(store, worker, "shutdown")
    assert order is not None
    store.workers.revoke(worker.name, now=LATER)
    assert seen(store, worker) == (WorkerState.OFFLINE, "")
    refused = store.orders.get(order.id)
    assert refused is not None
    assert (refused.state, refused.detail) == (OrderState.REFUSED, "the worker was revoked")
    again = store.enroll_tokens.enroll_trusted(worker.name, b"another key".ljust(32), ["default"], now=LATER)
    store.workers.link({again.id: facts()}, now=LATER)
    assert store.orders.waiting([again.id]) == []
    assert seen(store, again) == (WorkerState.IDLE, "")


def test_a_revoked_worker_is_handed_no_job_whatever_its_gateway_believes(store: Store, sessions) -> None:
    worker, _ = linked(store)
    queue(sessions, new_job())
    store.workers.revoke(worker.name, now=NOW)
    assert claim(store, capacity(worker.id)) == []
