from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from airflow_edge.gateway.access import denials
from airflow_edge.gateway.access.denials import DenialNotes
from airflow_edge.gateway.access.policy import Denial
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.explanation.denied import MOST_OF_A_TRY
from airflow_edge.store.jobs.jobs import AssignedJob

JOB = AssignedJob(
    id=UUID(int=1),
    assignment=1,
    worker_id=UUID(int=2),
    kind="task",
    workload_id=UUID(int=3),
    slots=1,
    state=JobState.RUNNING,
    released=False,
    dag_id="press",
    run_id="r",
    task_id="read",
)


def denial(name: str, kind: str = "variables") -> Denial:
    return Denial(f"may not read {name}", kind, name, "version 3")


class Written:
    """An audit log that may be away, or refuse an entry."""

    def __init__(self) -> None:
        self.away = False
        self.refused = ""
        self.entries: list[tuple[str, str, int]] = []

    def __call__(self, job: AssignedJob, worker: str, denial: Denial, more: int) -> None:
        if self.away:
            raise OperationalError("insert", {}, Exception("gone"))
        if denial.name == self.refused:
            raise ProgrammingError("insert", {}, Exception("no"))
        assert (job.dag_id, worker) == ("press", "press-7")
        self.entries.append(("", "", more) if more else (denial.kind, denial.name, 0))


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
async def notes(written) -> AsyncIterator[DenialNotes]:
    calls = StoreCalls()
    yield DenialNotes(calls, written)
    calls.close()


async def test_a_task_that_asks_a_thousand_times_leaves_one_entry(notes, written) -> None:
    for _ in range(1000):
        notes.note(JOB, "press-7", denial("password"))
    assert written.entries == []
    await notes.flush()
    notes.note(JOB, "press-7", denial("password"))
    notes.note(JOB, "press-7", denial("password", "set_variables"))
    notes.note(replace(JOB, workload_id=UUID(int=4)), "press-7", denial("password"))
    await notes.flush()
    assert written.entries == [
        ("variables", "password", 0),
        ("set_variables", "password", 0),
        ("variables", "password", 0),
    ]


async def test_what_asks_for_ever_new_names_is_counted_and_told_less_and_less_often(notes, written) -> None:
    for number in range(MOST_OF_A_TRY + 64):
        notes.note(JOB, "press-7", denial(str(number)))
        await notes.flush()
    assert len([name for _, name, _ in written.entries if name]) == MOST_OF_A_TRY
    assert [more for _, _, more in written.entries if more] == [1, 2, 4, 8, 16, 32, 64]


async def test_so_much_is_written_at_a_time_and_the_rest_later(notes, written) -> None:
    tries = [replace(JOB, workload_id=UUID(int=number)) for number in range(denials.AT_ONCE + 1)]
    for job in tries:
        notes.note(job, "press-7", denial("password"))
    await notes.flush()
    assert len(written.entries) == denials.AT_ONCE
    await notes.flush()
    assert len(written.entries) == len(tries)


async def test_what_there_is_no_room_for_is_told_in_the_log(notes, monkeypatch, caplog, written) -> None:
    monkeypatch.setattr(denials, "MOST_HELD", 2)
    for name in ("a", "b", "c", "c"):
        notes.note(JOB, "press-7", denial(name))
    await notes.flush()
    assert [name for _, name, _ in written.entries] == ["a", "b"]
    assert "2 calls are not in the audit log" in caplog.text


async def test_while_the_database_is_away_it_is_kept(notes, written) -> None:
    written.away = True
    for name in ("a", "b"):
        notes.note(JOB, "press-7", denial(name))
    with pytest.raises(StoreUnavailableError):
        await notes.flush()
    written.away = False
    await notes.flush()
    assert [name for _, name, _ in written.entries] == ["a", "b"]


async def test_an_entry_that_the_database_refuses_keeps_no_other(notes, written) -> None:
    written.refused = "a"
    for name in ("a", "b"):
        notes.note(JOB, "press-7", denial(name))
    await notes.flush()
    assert [name for _, name, _ in written.entries] == ["b"]


async def test_so_many_tries_are_remembered(notes, written, monkeypatch) -> None:
    monkeypatch.setattr(denials, "MOST_TRIES", 1)
    other = replace(JOB, workload_id=UUID(int=4))
    for job in (JOB, other, other, JOB):
        notes.note(job, "press-7", denial("password"))
    await notes.flush()
    # The audit log itself tells which it has.
    assert len(written.entries) == 3
