"""What a task's log says when the worker ends the task: each step, in the form of Airflow's own lines."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

SUPERVISOR_KILLED: Final = "the task's supervisor did not end either: SIGKILL was sent to it"


def terminated(reason: str, grace: float) -> str:
    """Say that SIGTERM was sent, and when SIGKILL follows (in `grace` seconds)."""
    return (
        f"the worker ends this task ({reason or 'no reason given'}): SIGTERM was sent, SIGKILL follows in {grace:g} s"
    )


def killed(grace: float) -> str:
    """Say that SIGKILL is sent, `grace` seconds after SIGTERM."""
    return f"the task did not end within {grace:g} s of SIGTERM: SIGKILL is sent to it and all its processes"


def line(event: str, at: datetime) -> bytes:
    """Give a line for the log."""
    fields = {"timestamp": at.isoformat(), "level": "warning", "event": event, "logger": "airflow_edge"}
    return msgspec.json.encode(fields) + b"\n"
