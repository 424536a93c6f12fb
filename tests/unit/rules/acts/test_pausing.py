from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_edge.rules.acts.pausing import QueuePause, foresee_pause, foresee_resumption, resume_command


def test_a_pause_says_since_when_by_whom_and_why() -> None:
    since = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    pause = QueuePause(team_name=None, queue="plc", note="the line is rebuilt.", by="ada", since=since)
    assert str(pause) == "paused since 2026-03-04 05:06 UTC by ada: the line is rebuilt"
    without = QueuePause(team_name=None, queue="plc", note="", by="ada", since=since)
    assert str(without) == "paused since 2026-03-04 05:06 UTC by ada"


def test_the_command_that_resumes_it_can_be_pasted() -> None:
    assert resume_command(None, "plc") == "airflow edge resume-queue plc"
    assert resume_command("red", "a b") == "airflow edge resume-queue 'a b' --team red"


@pytest.mark.parametrize(
    ("queued", "running", "served", "sentence"),
    [
        (0, 0, False, "no worker serves it and no job is in it: is this its name?"),
        (0, 0, True, "none of its jobs is handed out; none waits"),
        (1, 1, True, "none of its jobs is handed out; 1 job waits until it is resumed; 1 job goes on"),
        (12, 3, False, "none of its jobs is handed out; 12 jobs wait until it is resumed; 3 jobs go on"),
    ],
)
def test_what_happens_to_its_jobs(queued: int, running: int, served: bool, sentence: str) -> None:
    assert foresee_pause(queued, running, served=served) == sentence


def test_what_waits_is_handed_out_when_it_is_resumed() -> None:
    assert foresee_resumption(0) == ""
    assert foresee_resumption(1) == "1 job of it is handed out as workers have room"
    assert foresee_resumption(2) == "2 jobs of it are handed out as workers have room"
