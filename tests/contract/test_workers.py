from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.liveness import Silence
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import Admission
from airflow_edge.store.store import Store
from airflow_edge.store.workers.instances import Claimed
from tests.contract.world import NOW, accepted, capacity, claim, enrolled, facts, new_job, queue, state


def before(claimed: Mapping[UUID, Claimed]) -> dict[UUID, UUID | None]:
    """Give the links that were noted before, of workers that were all let in."""
    assert all(one.verdict is Admission.ENTER for one in claimed.values())
    return {worker_id: one.before.link_id for worker_id, one in claimed.items()}


def test_a_link_replaces_the_one_before_and_only_the_newest_is_ended(store: Store) -> None:
    worker = enrolled(store)
    assert (worker.state, worker.last_seen_at, worker.link_id) == (WorkerState.OFFLINE, None, None)
    old, new = facts(), facts(boot_id="boot\0id", agent_version="9" * 500)
    assert before(store.workers.link({worker.id: old}, now=NOW)) == {worker.id: None}
    assert before(store.workers.link({worker.id: new}, now=NOW)) == {worker.id: old.link_id}
    assert [found.id for found in store.workers.with_ids([worker.id, uuid4()])] == [worker.id]
    store.workers.unlink(worker.id, old.link_id, WorkerState.OFFLINE, now=NOW)
    linked = store.workers.get(worker.id)
    assert linked is not None
    assert (linked.link_id, linked.state, linked.last_seen_at) == (new.link_id, WorkerState.IDLE, NOW)
    assert linked.transport == "long polling"
    assert linked.boot_id == "boot\N{REPLACEMENT CHARACTER}id"
    store.workers.unlink(worker.id, new.link_id, WorkerState.UNKNOWN, now=NOW)
    unlinked = store.workers.get(worker.id)
    assert unlinked is not None
    assert (unlinked.link_id, unlinked.state) == (None, WorkerState.UNKNOWN)
    assert store.workers.get(uuid4()) is None


def test_many_link_at_once_each_with_its_own_facts(store: Store) -> None:
    one, two = enrolled(store, name="a"), enrolled(store, name="b")
    links = {one.id: facts(concurrency=1), two.id: facts(concurrency=2), uuid4(): facts()}
    assert before(store.workers.link(links, now=NOW)) == {one.id: None, two.id: None}
    noted = {worker.id: (worker.link_id, worker.concurrency) for worker in store.workers.all()}
    assert noted == {worker_id: (links[worker_id].link_id, links[worker_id].concurrency) for worker_id in noted}
    again = {two.id: facts(), one.id: facts()}
    assert before(store.workers.link(again, now=NOW)) == {worker_id: link for worker_id, (link, _) in noted.items()}


def test_what_workers_do_is_noted_together(store: Store) -> None:
    one, two, three = (enrolled(store, name=name) for name in ("a", "b", "c"))
    later = NOW + timedelta(seconds=5)
    store.workers.seen(
        {one.id: WorkerState.RUNNING, two.id: WorkerState.TERMINATING, uuid4(): WorkerState.IDLE},
        {one.id: {"cpu": 0.5, "bad": float("nan"), "ok": True, "näme": "x\0"}},
        now=later,
    )
    seen = {worker.id: worker for worker in store.workers.all()}
    assert [worker.name for worker in seen.values()] == ["a", "b", "c"]
    assert (seen[one.id].state, seen[one.id].last_seen_at) == (WorkerState.RUNNING, later)
    assert {k: v for k, v in seen[one.id].system.items() if k in {"cpu", "ok", "bad"}} == {"cpu": 0.5, "ok": True}
    assert (seen[two.id].state, seen[two.id].system) == (WorkerState.TERMINATING, {})
    assert seen[three.id].last_seen_at is None


def test_a_worker_falls_silent_once_and_one_that_went_in_order_never(store: Store) -> None:
    silent, offline, revoked, alive = (enrolled(store) for _ in range(4))
    for worker in (silent, offline, revoked, alive):
        store.workers.link({worker.id: facts()}, now=NOW)
    store.workers.revoke(revoked.name, now=NOW)
    later = NOW + timedelta(seconds=16)
    store.workers.seen({offline.id: WorkerState.OFFLINE}, {}, now=NOW)
    store.workers.seen({alive.id: WorkerState.IDLE}, {}, now=later)
    seen = store.workers.last_seen()
    assert [seen[worker.id] for worker in (silent, offline, alive)] == [NOW, NOW, later]
    silences = {worker.id: Silence(NOW, later) for worker in (silent, offline, revoked, alive)}
    assert store.workers.mark_unreachable({}) == []
    # The last one was heard from since.
    assert store.workers.mark_unreachable(silences) == [silent.id]
    assert store.workers.mark_unreachable(silences) == []
    unknown = store.workers.get(silent.id)
    assert unknown is not None
    assert unknown.state is WorkerState.UNKNOWN


def test_who_is_silent_is_looked_for_without_a_lock(store: Store, sessions: sessionmaker[Session]) -> None:
    worker = enrolled(store)
    store.workers.link({worker.id: facts()}, now=NOW)
    # Nobody is, as at nearly every look; those who are heard of are being written down meanwhile.
    silences = {worker.id: Silence(NOW - timedelta(seconds=1), NOW)}
    asked: list[str] = []
    with sessions() as session:
        engine = session.get_bind()

    def note(_connection, _cursor, statement, *_) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert store.workers.mark_unreachable(silences) == []
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert asked
    assert not [statement for statement in asked if "FOR UPDATE" in statement or "BEGIN" in statement]


@pytest.mark.parametrize("ending", ["revoked", "gone in order", "back"])
def test_one_whose_link_broke_is_silent_once_that_is_measured_and_until_something_ends_it(
    store: Store, ending: str
) -> None:
    worker, link = enrolled(store), facts()
    store.workers.link({worker.id: link}, now=NOW)
    store.workers.unlink(worker.id, link.link_id, WorkerState.UNKNOWN, now=NOW)

    def silent() -> bool:
        found = store.workers.get(worker.id)
        assert found is not None
        return found.silent

    assert not silent()
    store.workers.mark_unreachable({worker.id: Silence(NOW, NOW + timedelta(seconds=16))})
    assert silent()
    if ending == "revoked":
        store.workers.revoke(worker.name, now=NOW)
    else:
        store.workers.link({worker.id: (again := facts())}, now=NOW)
        if ending == "gone in order":
            store.workers.unlink(worker.id, again.link_id, WorkerState.OFFLINE, now=NOW)
    assert not silent()


@pytest.mark.parametrize("asked_first", [True, False])
def test_a_silent_one_gives_way_whatever_is_asked_of_it(store: Store, asked_first: bool) -> None:
    worker = enrolled(store)
    first, second = (facts(instance=uuid4(), life=uuid4()) for _ in range(2))
    store.workers.link({worker.id: first}, now=NOW)

    def ask() -> None:
        assert store.orders.give(worker.id, Wish("maintenance", "new disk"), by="ada", now=NOW)

    if asked_first:
        ask()
    assert store.workers.link({worker.id: second}, now=NOW)[worker.id].verdict is Admission.REFUSE
    silences = {worker.id: Silence(NOW, NOW + timedelta(seconds=16))}
    assert store.workers.mark_unreachable(silences) == [worker.id]
    assert store.workers.mark_unreachable(silences) == []
    if not asked_first:
        ask()
    assert store.workers.link({worker.id: second}, now=NOW)[worker.id].verdict is Admission.ENTER
    # From then on it is that one who has the key.
    assert store.workers.link({worker.id: first}, now=NOW)[worker.id].verdict is Admission.REFUSE


def test_changes_are_seen_by_other_gateways(store: Store) -> None:
    linked, revoked, untouched = enrolled(store), enrolled(store), enrolled(store)
    later = NOW + timedelta(seconds=1)
    store.workers.link({linked.id: facts()}, now=later)
    store.workers.revoke(revoked.name, now=later)
    store.workers.seen({untouched.id: WorkerState.IDLE}, {}, now=later)
    assert store.workers.changed_since(later) == {linked.id: later, revoked.id: later}
    assert store.workers.changed_since(NOW).keys() == {linked.id, revoked.id, untouched.id}


def test_a_grace_is_given_to_all_of_them_or_to_none(store: Store) -> None:
    one, two = enrolled(store, name="a"), enrolled(store, name="b")
    assert store.workers.set_disconnect_grace(["a", "nobody", "b"], timedelta(hours=1)) == ["nobody"]
    assert [worker.disconnect_grace for worker in store.workers.all()] == [None, None]
    assert store.workers.set_disconnect_grace(["a", "b"], timedelta(hours=1)) == []
    assert store.workers.set_disconnect_grace([two.name], None) == []
    graces = {worker.id: worker.disconnect_grace for worker in store.workers.all()}
    assert graces == {one.id: timedelta(hours=1), two.id: None}


def test_what_is_added_is_served_and_what_is_removed_is_not(store: Store) -> None:
    worker = enrolled(store, queues=("a", "b"))
    store.workers.link({worker.id: facts(asked_queues=("a",))}, now=NOW)

    def served() -> tuple[str, ...]:
        found = store.workers.get(worker.id)
        assert found is not None
        return found.served_queues

    assert served() == ("a",)
    changed = store.workers.change_queues(worker.id, add=["c", "b", "c"], now=NOW)
    assert changed is not None
    assert changed.queues == ("a", "b", "c")
    assert served() == changed.served_queues == ("a", "b", "c")
    # It was started for other queues the next time: what an administrator has added stays.
    store.workers.link({worker.id: facts(asked_queues=("x",))}, now=NOW)
    assert served() == ("b", "c")
    store.workers.change_queues(worker.id, remove=["c", "unheard of"], now=NOW)
    assert served() == ("b",)
    store.workers.link({worker.id: facts(asked_queues=None)}, now=NOW)
    assert served() == ("a", "b")


def test_a_worker_keeps_one_queue_at_least(store: Store) -> None:
    worker = enrolled(store, queues=("a", "b"))
    refused = store.workers.change_queues(worker.id, remove=["a", "b"], now=NOW)
    assert refused is not None
    assert refused.queues == ()
    found = store.workers.get(worker.id)
    assert found is not None
    assert found.queues == ("a", "b")
    assert store.workers.change_queues(uuid4(), add=["a"], now=NOW) is None


def test_one_that_is_revoked_or_removed_is_not_seen_again(store: Store) -> None:
    here, revoked = enrolled(store), enrolled(store)
    store.workers.revoke(revoked.name, now=NOW)
    gone, states = uuid4(), dict.fromkeys((here.id, revoked.id), WorkerState.IDLE)
    assert set(store.workers.seen({**states, gone: WorkerState.IDLE}, {}, now=NOW)) == {revoked.id, gone}
    assert [found.state for found in (store.workers.get(here.id), store.workers.get(revoked.id)) if found] == [
        "idle",
        "offline",
    ]
    assert store.workers.seen({here.id: WorkerState.RUNNING}, {}, now=NOW) == []


def test_a_worker_whose_jobs_have_not_ended_is_not_removed(store: Store, sessions: sessionmaker[Session]) -> None:
    worker = enrolled(store)
    queue(sessions, new_job())
    [job] = claim(store, capacity(worker.id))
    store.jobs.settle(worker.id, [accepted(job)], now=NOW)
    assert "revoke-worker" in store.workers.remove(worker.id, now=NOW)
    assert store.workers.get(worker.id) is not None
    store.workers.revoke(worker.name, now=NOW)
    assert store.workers.remove(worker.id, now=NOW) == ""
    assert (store.workers.get(worker.id), state(sessions, job.id)) == (None, JobState.LOST)
