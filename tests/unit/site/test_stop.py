from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime

from airflow_edge.protocol.local import LOG_FILE, STOP_FILE, StopFile
from airflow_edge.site import processes, stop

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_each_step_is_a_line_like_airflows_own() -> None:
    line = stop.line(stop.terminated("it was cleared", 60), AT)
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "timestamp": "2026-03-04T05:06:07+00:00",
        "level": "warning",
        "event": "the worker ends this task (it was cleared): SIGTERM was sent, SIGKILL follows in 60 s",
        "logger": "airflow_edge",
    }


def test_a_step_without_a_reason_says_that() -> None:
    assert "no reason given" in stop.terminated("", 1.5)
    assert "1.5 s" in stop.killed(1.5)


def test_the_supervisor_can_know_of_what_its_task_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(processes, "terminate_task", lambda supervisor: True)
    monkeypatch.setattr(processes, "kill_session", lambda supervisor: None)
    steps = stop.StopSteps(tmp_path)
    steps.enforce(1, 0)
    assert stop.stop_of(tmp_path) is None
    steps.ask(5, "it was cleared", 0)
    steps.enforce(1, 0)
    assert stop.stop_of(tmp_path) == StopFile(reason="it was cleared", signal=signal.SIGTERM)
    steps.enforce(1, 5)
    assert stop.stop_of(tmp_path) == StopFile(reason="it was cleared", signal=signal.SIGKILL)


def test_a_pipe_that_a_task_has_made_of_its_files_holds_nobody_up(tmp_path) -> None:
    for name in (LOG_FILE, STOP_FILE):
        os.mkfifo(tmp_path / name)
    stop.note(tmp_path, "it ends")
    assert stop.stop_of(tmp_path) is None


def test_what_cannot_be_told_keeps_nothing_from_being_ended(tmp_path, monkeypatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(processes, "terminate_task", lambda supervisor: True)
    monkeypatch.setattr(processes, "kill_session", killed.append)
    steps = stop.StopSteps(tmp_path / "gone")
    steps.ask(0, "it was cleared", 0)
    steps.enforce(7, 0)
    assert killed == [7]
    assert stop.stop_of(tmp_path / "gone") is None
