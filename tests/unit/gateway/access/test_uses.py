from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date

import pytest
from sqlalchemy.exc import OperationalError

from airflow_edge.gateway.access import uses
from airflow_edge.gateway.access.uses import UseCounter
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.rules.policy.grants import Who
from airflow_edge.rules.policy.suggesting import NOTED_LENGTH
from airflow_edge.store.policy.uses import NotedUse, Times

WHO = Who(team_name=None, queue="plc", worker="w", dag_id="press", run_id="r", task_id="read")
OTHER = Who(team_name="red", queue="plc", worker="w", dag_id="pump", run_id="r", task_id="read")


class Uses:
    """A database that may be away."""

    def __init__(self) -> None:
        self.away = False
        self.written: dict[tuple[str, str], Times] = {}
        self.days: set[date] = set()

    def note(self, day: date, noted: Mapping[NotedUse, Times]) -> int:
        if self.away:
            raise OperationalError("insert", {}, Exception("gone"))
        self.days.add(day)
        self.written.update({(use.dag_id, use.name): times for use, times in noted.items()})
        return 0


@pytest.fixture
def kept() -> Uses:
    return Uses()


@pytest.fixture
async def counter(kept) -> AsyncIterator[UseCounter]:
    calls = StoreCalls()
    yield UseCounter(kept, calls)
    calls.close()


async def test_what_was_counted_is_written_once(kept, counter) -> None:
    for granted in (True, True, False):
        counter.note(WHO, "connections", "db", granted=granted, enforced=False)
        counter.note(WHO, "connections", "plc", granted=granted, enforced=True)
    counter.note(OTHER, "connections", "db", granted=True, enforced=False)
    await counter.flush()
    assert kept.written == {("press", "db"): Times(2, 1), ("press", "plc"): Times(2, 1, 1), ("pump", "db"): Times(1, 0)}
    kept.written.clear()
    await counter.flush()
    assert kept.written == {}


async def test_while_the_database_is_away_it_is_kept(kept, counter) -> None:
    kept.away = True
    counter.note(WHO, "connections", "db", granted=True, enforced=False)
    with pytest.raises(StoreUnavailableError):
        await counter.flush()
    counter.note(WHO, "connections", "db", granted=False, enforced=False)
    kept.away = False
    await counter.flush()
    assert kept.written == {("press", "db"): Times(1, 1)}


async def test_a_task_that_asks_for_ever_new_names_leaves_room_for_others(kept, counter, caplog) -> None:
    for number in range(2 * uses.MOST):
        counter.note(WHO, "connections", str(number), granted=False, enforced=False)
    counter.note(OTHER, "connections", "db", granted=True, enforced=False)
    await counter.flush()
    assert len(kept.written) == uses.MOST_OF_A_TASK + 1
    assert kept.written["pump", "db"] == Times(1, 0)
    assert f"{2 * uses.MOST - uses.MOST_OF_A_TASK} uses are not noted" in caplog.text


async def test_names_are_noted_as_every_database_takes_them(kept, counter) -> None:
    for end in ("a", "b"):
        counter.note(WHO, "assets", "s3://\0\ud800" + "x" * NOTED_LENGTH + end, granted=True, enforced=False)
    await counter.flush()
    [(_, name)] = kept.written
    assert len(name) == NOTED_LENGTH
    assert "\0" not in name
    assert name.encode().decode() == name
    assert [*kept.written.values()] == [Times(2, 0)]
