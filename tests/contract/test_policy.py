"""The policy's versions, and what tasks have asked for, on each kind of database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from airflow_edge.store.policy.uses import NotedUse, Times
from airflow_edge.store.policy.versions import PolicyChangedError
from airflow_edge.store.store import Store
from tests.contract.world import NOW

DAY = date(2026, 3, 4)


def use(**fields) -> NotedUse:
    return NotedUse(
        **{
            "team_name": "",
            "queue": "plc",
            "dag_id": "press",
            "task_id": "täsk",
            "kind": "connections",
            "name": "db",
            **fields,
        }
    )


def seen(store: Store, **options) -> list[tuple[str, str, int, int]]:
    return [
        (one.task_id, one.name, one.allowed, one.denied) for one in store.policy_uses.seen(**{"since": DAY, **options})
    ]


def test_the_newest_version_is_in_force_and_older_ones_stay(store: Store) -> None:
    assert (store.policies.newest(), store.policies.get(), store.policies.all(limit=9)) == (0, None, [])
    assert store.policies.add("# größer als 64 KiB\n" * 5_000, "first", by="ann", now=NOW) == 1
    assert store.policies.add("rules: []", "", after=1, by="bob", now=NOW + timedelta(seconds=1)) == 2
    assert store.policies.newest() == 2
    newest, first = store.policies.get(), store.policies.get(1)
    assert newest is not None
    assert first is not None
    assert (newest.version, newest.text, newest.by, newest.at) == (2, "rules: []", "bob", NOW + timedelta(seconds=1))
    assert (first.note, first.text) == ("first", "# größer als 64 KiB\n" * 5_000)
    assert store.policies.get(3) is None
    assert [one.version for one in store.policies.all(limit=1)] == [2]
    assert [one.by for one in store.policies.all(limit=9, before=2)] == ["ann"]


def test_what_was_made_from_an_older_version_is_refused(store: Store) -> None:
    store.policies.add("a", "", after=0, by="ann", now=NOW)
    with pytest.raises(PolicyChangedError, match="1"):
        store.policies.add("b", "", after=0, by="bob", now=NOW)
    assert store.policies.newest() == 1


def test_several_who_set_it_at_once_get_numbers_of_their_own(store: Store) -> None:
    with ThreadPoolExecutor(6) as threads:
        numbers = list(threads.map(lambda who: store.policies.add(who, "", by=who, now=NOW), "abcdef"))
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    for number, who in zip(numbers, "abcdef", strict=True):
        version = store.policies.get(number)
        assert version is not None
        assert version.by == who


def test_uses_are_added_up(store: Store) -> None:
    assert store.policy_uses.note(DAY, {}) == 0
    store.policy_uses.note(DAY, {use(): Times(2, 0), use(name="DB"): Times(0, 1)})
    store.policy_uses.note(DAY, {use(): Times(1, 3), use(task_id="other"): Times(1, 0)})
    store.policy_uses.note(DAY + timedelta(1), {use(): Times(10, 0)})
    assert sorted(seen(store)) == [("other", "db", 1, 0), ("täsk", "DB", 0, 1), ("täsk", "db", 13, 3)]
    assert seen(store, since=DAY + timedelta(1)) == [("täsk", "db", 10, 0)]
    assert sorted(seen(store, denied=True)) == [("täsk", "DB", 0, 1), ("täsk", "db", 13, 3)]
    assert seen(store, since=DAY + timedelta(2)) == []
    everything = seen(store)
    assert [seen(store, limit=1, offset=number) for number in range(3)] == [[one] for one in everything]
    store.policy_uses.note(DAY, {use(name="DB"): Times(0, 2, 2)})
    store.policy_uses.note(DAY, {use(name="DB"): Times(0, 1, 1)})
    [one] = [one for one in store.policy_uses.seen(since=DAY) if one.name == "DB"]
    assert (one.allowed, one.denied, one.refused) == (0, 4, 3)
    [newest] = store.policy_uses.seen(since=DAY + timedelta(1))
    assert newest.last_day == DAY + timedelta(1)


def test_uses_of_dags_and_of_teams(store: Store) -> None:
    store.policy_uses.note(
        DAY,
        {
            use(dag_id="pump", task_id="a"): Times(1, 0),
            use(team_name="red", task_id="b"): Times(1, 0),
            use(team_name="blue", task_id="c"): Times(1, 0),
        },
    )
    assert [one[0] for one in seen(store, dag_id="pump")] == ["a"]
    assert sorted(one[0] for one in seen(store, teams=["red"])) == ["a", "b"]
    assert sorted(one[0] for one in seen(store, teams=[])) == ["a"]


def test_a_day_holds_so_many_and_what_is_known_goes_on_being_counted(store: Store) -> None:
    some = {use(name=f"n{number}"): Times(1, 0) for number in range(5)}
    assert store.policy_uses.note(DAY, some, most=3) == 2
    assert store.policy_uses.note(DAY, some, most=3) == 2
    assert [times for _, _, times, _ in seen(store)] == [2, 2, 2]
    assert store.policy_uses.note(DAY + timedelta(1), some, most=3) == 2


def test_many_uses_in_one_go_from_several_gateways_at_once(store: Store) -> None:
    many = {use(name=f"n{number}", queue="q" * 256): Times(1, 2) for number in range(1_100)}
    with ThreadPoolExecutor(3) as threads:
        left_out = list(threads.map(lambda uses: store.policy_uses.note(DAY, uses), [many] * 3))
    assert left_out == [0, 0, 0]
    assert {(allowed, denied) for _, _, allowed, denied in seen(store)} == {(3, 6)}
    assert len(seen(store)) == len(many)


def test_old_days_are_purged(store: Store) -> None:
    for number in range(3):
        store.policy_uses.note(DAY + timedelta(number), {use(name=f"n{one}"): Times(1, 0) for one in range(4)})
    assert store.policy_uses.purge(before=DAY + timedelta(2), limit=5) == 5
    assert store.policy_uses.purge(before=DAY + timedelta(2), limit=5) == 3
    assert store.policy_uses.purge(before=DAY + timedelta(2), limit=5) == 0
    assert [one[2] for one in seen(store)] == [1] * 4
