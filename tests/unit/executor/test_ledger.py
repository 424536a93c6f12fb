from __future__ import annotations

from uuid import UUID, uuid4

from airflow_edge.executor.ledger import Entry, Ledger


def ledger_of(*entries: tuple[UUID, str]) -> Ledger[str]:
    ledger: Ledger[str] = Ledger()
    for job_id, key in entries:
        ledger.add(Entry(job_id, key, "task"))
    return ledger


def test_the_newest_job_of_a_key_counts() -> None:
    one, two, other = uuid4(), uuid4(), uuid4()
    ledger = ledger_of((one, "a"), (other, "b"), (two, "a"))
    assert [ledger.is_newest(job_id) for job_id in (one, two, other, uuid4())] == [False, True, True, False]
    ledger.drop(two)
    assert ledger.is_newest(one)
    assert len(ledger) == 2


def test_a_job_taken_up_twice_is_one() -> None:
    one = uuid4()
    ledger = ledger_of((one, "a"), (one, "a"))
    assert ledger.drop_key("a") == [one]
    assert ledger.drop_key("a") == []
    assert ledger.drop(one) is None
    assert len(ledger) == 0


def test_what_was_not_committed_is_dropped_and_its_key_unless_that_has_another_job() -> None:
    one, two, three, late = (uuid4() for _ in range(4))
    ledger = ledger_of((one, "a"), (two, "a"), (three, "b"))
    checked = ledger.unconfirmed
    ledger.add(Entry(late, "c", "task"))
    assert ledger.confirm(checked, {one}) == ["b"]
    assert ledger.is_newest(one)
    assert set(ledger.unconfirmed) == {late}


def test_a_callback_is_announced_once() -> None:
    ledger: Ledger[str] = Ledger()
    callback, task = uuid4(), uuid4()
    ledger.add(Entry(callback, "c", "callback"))
    ledger.add(Entry(task, "t", "task"))
    assert ledger.unannounced_callbacks() == [callback]
    assert ledger.announce([callback, uuid4()]) == ["c"]
    assert ledger.unannounced_callbacks() == []


def test_a_ledger_that_mirrors_the_database_says_which_keys_came_and_went() -> None:
    kept, gone, moved, come, older = (uuid4() for _ in range(5))
    ledger = ledger_of((kept, "a"), (gone, "b"), (moved, "c"))
    entries = [Entry(job_id, key, "task") for job_id, key in ((older, "c"), (kept, "a"), (moved, "c"), (come, "d"))]
    assert ledger.mirror(entries) == ({"d"}, {"b"})
    assert [job_id in ledger for job_id in (kept, moved, come, older, gone)] == [True] * 4 + [False]
    assert not ledger.unconfirmed
    assert [ledger.is_newest(job_id) for job_id in (older, moved, gone)] == [False, True, False]
    assert ledger.mirror([]) == (set(), {"a", "c", "d"})


def test_a_callback_that_was_announced_stays_announced() -> None:
    ledger: Ledger[str] = Ledger()
    entry = Entry(uuid4(), "c", "callback")
    ledger.add(entry)
    ledger.announce([entry.job_id])
    ledger.mirror([entry])
    assert ledger.unannounced_callbacks() == []
    ledger.mirror([])
    ledger.mirror([entry])
    assert ledger.unannounced_callbacks() == [entry.job_id]
