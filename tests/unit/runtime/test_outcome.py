from __future__ import annotations

import signal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.local import OUTCOME_FILE, Outcome
from airflow_edge.runtime.outcome import describe_exit, write_outcome


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
    assert "memory" not in describe_exit("the task", -signal.SIGTERM)[1]


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
