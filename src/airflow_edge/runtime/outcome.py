"""How a job ended, in its folder and in words."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec

from airflow_edge.protocol.local import OUTCOME_FILE, Outcome

_SIGNAL_BASE = 128
"""A shell's way to give a signal as an exit status: 128 plus its number."""


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write `outcome.json`, all or nothing and durably."""
    fresh = folder / f"{OUTCOME_FILE}.new"
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(outcome))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / OUTCOME_FILE)


def describe_exit(who: str, status: int) -> tuple[int, str]:
    """Give an exit status from 0 to 255 and a reason, for a process's status that is negative for a signal."""
    if status == 0:
        return 0, ""
    if status > 0:
        return status, f"{who} exited with status {status}"
    number = -status
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    reason = f"{who} was ended by {name}"
    if number == signal.SIGKILL:
        reason += "; if nobody had it stopped, the machine may have run out of memory (see its kernel log)"
    return _SIGNAL_BASE + number, reason
