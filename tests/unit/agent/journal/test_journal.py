from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from airflow_edge.agent.core.events import DesiredState, JobRecord
from airflow_edge.agent.errors import AgentError, OtherUserError
from airflow_edge.agent.journal.journal import RESERVE, Journal, unfinished_jobs
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Ended


def job_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def record(number: int = 1, *, finished: bool = False, **more: object) -> JobRecord:
    values = {"kind": "task", "slots": 1, "acknowledged": finished, "log_done": finished} | more
    return JobRecord(key=AssignmentKey(job_id(number), 1), **values)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_what_was_written_is_there_after_a_crash(path: Path) -> None:
    ended = Ended(job_id=job_id(2), assignment=1, signal=9, reason="gekillt ✝")
    records = [
        record(1, phase="released", stop_reason="cleared"),
        record(2, kind="callback", slots=3, phase="ended", ended=ended, void=True),
    ]
    Journal(path).write([*records, record(3, finished=True)])
    again = Journal(path)
    assert again.unfinished == records
    assert again.find(AssignmentKey(job_id(3), 1)) == record(3, finished=True)
    assert again.find(AssignmentKey(job_id(4), 1)) is None


def test_who_asks_what_is_left_changes_nothing_be_it_damaged(path: Path) -> None:
    ended = Ended(job_id=job_id(2), assignment=1, exit_code=0)
    Journal(path).write([record(1), record(2, ended=ended), record(3, finished=True)])
    assert unfinished_jobs(path) == (1, 1)
    damaged = path.with_name("damaged")
    damaged.write_bytes(b"what is no journal" * 1000)
    with pytest.raises(AgentError, match="whether tasks are left is not known"):
        unfinished_jobs(damaged)
    assert damaged.read_bytes() == b"what is no journal" * 1000


def test_the_last_record_of_an_assignment_counts(path: Path) -> None:
    journal = Journal(path)
    journal.write([record(1)])
    journal.write([record(1, phase="running")])
    assert Journal(path).unfinished == [record(1, phase="running")]


def test_records_are_written_all_or_none(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(sqlite3.Error):
        journal.write([record(1), JobRecord(key=AssignmentKey(None, 1), kind="task", slots=1)])  # type: ignore[arg-type]
    assert journal.find(AssignmentKey(job_id(1), 1)) is None


def test_the_oldest_finished_jobs_are_forgotten_and_no_unfinished_one(path: Path) -> None:
    journal = Journal(path, kept=10)
    journal.write([record(0)])
    journal.write([record(number, finished=True) for number in range(1, 601)])
    known = {number for number in range(601) if journal.find(AssignmentKey(job_id(number), 1))}
    assert known == {0, *range(591, 601)}


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_journal_is_moved_aside(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(content)
    journal = Journal(path)
    assert journal.damaged
    assert journal.unfinished == []
    assert path.with_name("journal.sqlite.damaged-1").read_bytes() == content
    assert "recovered from their folders" in caplog.text
    journal.write([record()])
    assert not Journal(path).damaged


def test_a_record_that_makes_no_sense_is_damage_too(path: Path) -> None:
    journal = Journal(path)
    journal.write([record()])
    journal.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE job SET record = '{}'")
    database.close()
    journal = Journal(path)
    assert journal.damaged
    journal.close()
    path.write_bytes(b"again")
    assert Journal(path).damaged
    assert path.with_name("journal.sqlite.damaged-2").exists()


def test_a_reserve_is_spent_where_nothing_else_helps_and_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    reserve = path.with_name("reserve")
    assert reserve.stat().st_size == RESERVE
    write = journal.write

    def write_without_reserve(records: Iterable[JobRecord], desired: DesiredState | None = None) -> None:
        if reserve.exists():
            raise sqlite3.OperationalError("database or disk is full")
        write(records, desired)

    monkeypatch.setattr(journal, "write", write_without_reserve)
    journal.write_with_reserve([record()])
    assert journal.find(record().key) == record()
    assert not reserve.exists()
    journal.try_out()
    assert reserve.stat().st_size == RESERVE


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_journal_that_cannot_be_written_is_not_taken_for_a_damaged_one(path: Path) -> None:
    Journal(path).write([record()])
    path.parent.chmod(0o500)
    path.chmod(0o400)
    try:
        with pytest.raises(OtherUserError, match="give it to "):
            Journal(path)
    finally:
        path.parent.chmod(0o700)
    path.chmod(0o600)
    assert Journal(path).unfinished == [record()]


def test_the_last_boot_is_remembered(path: Path) -> None:
    journal = Journal(path)
    assert journal.boot_id() is None
    first, second = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2))
    for boot_id in (first, second, second):
        journal.note_boot(boot_id)
        assert Journal(path).boot_id() == boot_id
    journal.note_boot(None)
    assert Journal(path).boot_id() is None


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="mount its disk, or make it") as caught:
        Journal(tmp_path / "missing" / "journal.sqlite")
    assert caught.value.exit_status == 1


def test_it_is_not_closed_under_a_thread_that_writes(path: Path) -> None:
    journal = Journal(path)
    under_way, closed = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def at(statement: str) -> None:
        if statement.startswith("COMMIT"):
            under_way.set()
            in_time.append(closed.wait(10))

    journal._database.set_trace_callback(at)
    failed: list[BaseException] = []

    def write() -> None:
        try:
            journal.write([record(1)])
        except sqlite3.Error as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    assert under_way.wait(30)
    journal.close()
    closed.set()
    writer.join(30)
    assert (in_time, failed, writer.is_alive()) == ([True], [], False)
    assert Journal(path).unfinished == [record(1)]
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        journal.write([record(2)])
