from __future__ import annotations

from datetime import timedelta

from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.store.store import Store
from tests.contract.world import NOW, capacity, claim, enrolled, new_job, queue

LATER = NOW + timedelta(seconds=5)


def pause(store: Store, *queues: str, team: str | None = None, note: str = "why") -> None:
    store.queue_pauses.pause(queues, team, note, by="ada", now=NOW)


def test_no_job_of_a_paused_queue_is_handed_out_until_it_is_resumed(
    store: Store, sessions: sessionmaker[Session]
) -> None:
    worker = enrolled(store, queues=("plc", "gpu"))
    queue(sessions, new_job(queue="plc"), new_job(queue="gpu"))
    pause(store, "plc")
    room = capacity(worker.id, "plc", "gpu", free_slots=8)
    assert [job.queue for job in claim(store, room)] == ["gpu"]
    assert claim(store, room) == []
    assert store.queue_pauses.resume(["plc", "gpu"], None) == ["plc"]
    assert [job.queue for job in claim(store, room)] == ["plc"]
    assert store.queue_pauses.resume(["plc"], None) == []


def test_a_pause_is_of_one_team(store: Store, sessions: sessionmaker[Session]) -> None:
    worker = enrolled(store, queues=("plc",))
    queue(sessions, new_job(queue="plc", team_name="red"), new_job(queue="plc"), new_job(queue="plc", team_name="Red"))
    pause(store, "plc", team="red")
    for team in ("red", None, "Red"):
        found = claim(store, capacity(worker.id, "plc", free_slots=8, team_name=team))
        assert len(found) == (0 if team == "red" else 1)


def test_paused_again_it_has_the_new_note_and_the_old_beginning(store: Store) -> None:
    pause(store, "plc", "gpu")
    before = store.queue_pauses.pause(["plc"], None, "longer", by="bob", now=LATER)
    assert before["plc"].note == "why"
    found = store.queue_pauses.of(None, "plc")
    assert found is not None
    assert (found.team_name, found.note, found.by, found.since) == (None, "longer", "bob", NOW)
    assert store.queue_pauses.of("red", "plc") is None
    demands = store.fleet.overview().demands
    assert {demand.queue: demand.paused and demand.paused.note for demand in demands} == {"plc": "longer", "gpu": "why"}


def test_what_waits_in_paused_queues_only_is_no_reason_for_a_transaction_that_writes(
    store: Store, sessions: sessionmaker[Session]
) -> None:
    """Else each look of each gateway would lock the database while a queue is paused."""
    queue(sessions, *(new_job(queue="plc") for _ in range(3)))
    pause(store, "plc")
    seen: list[str] = []
    with sessions() as session:
        engine = session.get_bind()

    def note(connection, cursor, statement, parameters, context, executemany):
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert not store.queue.waiting().queues
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len([statement for statement in seen if "airflow_edge_job" in statement]) == 1
    assert not [statement for statement in seen if "FOR UPDATE" in statement or "BEGIN" in statement]
