from __future__ import annotations

import json
from datetime import UTC, datetime

from airflow_edge.site import stop

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
