from __future__ import annotations

import signal
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.local import OUTCOME_FILE, OUTCOME_RESERVE, OUTCOME_RESERVE_FILE, Outcome, StopFile
from airflow_edge.runtime.outcome import count_oom_kills, describe_exit, write_outcome


def test_a_good_end_has_no_reason():
    assert describe_exit("the task", 0) == (0, "")


def test_an_exit_status_stays_what_it_is():
    code, reason = describe_exit("the task", 3)
    assert code == 3
    assert "3" in reason


def test_a_signal_is_named_and_a_kill_hints_at_memory():
    code, reason = describe_exit("the task", -signal.SIGKILL)
    assert code == 137
    assert "SIGKILL" in reason
    assert "memory" in reason
    assert "kernel log" in reason
    assert "worker_concurrency" in describe_exit("the task", -signal.SIGKILL, oom_kills=1)[1]
    assert "memory" not in describe_exit("the task", -signal.SIGTERM)[1]


def test_a_signal_without_a_name_has_its_number():
    assert describe_exit("the task", -40) == (168, "the task was killed by signal 40")


def test_the_kernels_count_of_killed_processes_is_found():
    counted = [line for line in Path("/proc/vmstat").read_text().splitlines() if line.startswith("oom_kill ")]
    assert [f"oom_kill {count_oom_kills()}"] == counted


def test_an_outcome_is_written_into_the_room_that_was_reserved(tmp_path):
    reserved = tmp_path / OUTCOME_RESERVE_FILE
    reserved.write_bytes(bytes(OUTCOME_RESERVE))
    inode = reserved.stat().st_ino
    write_outcome(tmp_path, Outcome(job_id="a", assignment=1, exit_code=1, reason="\u2620" * 1000))
    written = tmp_path / OUTCOME_FILE
    assert written.stat().st_ino == inode
    assert written.stat().st_size <= OUTCOME_RESERVE
    assert msgspec.json.decode(written.read_bytes(), type=Outcome).exit_code == 1
    assert not reserved.exists()


@given(st.integers(min_value=-64, max_value=255))
def test_every_status_but_zero_is_a_failure_with_a_reason(status):
    code, reason = describe_exit("the task", status)
    assert 0 <= code <= 255
    assert (code == 0) == (status == 0) == (reason == "")


def test_an_outcome_is_written_over_an_older_one_and_leaves_nothing_else(tmp_path):
    for code in (1, 0):
        write_outcome(tmp_path, Outcome(job_id="a", assignment=1, exit_code=code))
    assert [path.name for path in tmp_path.iterdir()] == [OUTCOME_FILE]
    assert msgspec.json.decode((tmp_path / OUTCOME_FILE).read_bytes(), type=Outcome).exit_code == 0


def test_what_the_worker_has_ended_has_not_run_out_of_memory() -> None:
    code, reason = describe_exit(
        "the task's process", -9, stop=StopFile(reason="it was cleared", signal=9), oom_kills=1
    )
    assert (code, "memory" in reason, reason.endswith("it was cleared")) == (137, False, True)
