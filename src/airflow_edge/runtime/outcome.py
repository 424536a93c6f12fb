"""How a job ended, in its folder and in words."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec

from airflow_edge.protocol.local import OUTCOME_FILE, OUTCOME_RESERVE_FILE, Outcome

_SIGNAL_BASE = 128
"""A shell's way to give a signal as an exit status: 128 plus its number."""


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write `outcome.json`, all or nothing and durably, in the room that the agent has reserved for it."""
    reserved = folder / OUTCOME_RESERVE_FILE
    content = msgspec.json.encode(outcome)
    descriptor = os.open(reserved, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        file.truncate(len(content))
        os.fsync(descriptor)
    reserved.replace(folder / OUTCOME_FILE)


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
