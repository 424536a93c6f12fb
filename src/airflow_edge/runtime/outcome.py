"""How a job ended, in its folder and in words."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec

from airflow_edge.protocol.local import OUTCOME_FILE, OUTCOME_RESERVE_FILE, Outcome, StopFile


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write `outcome.json`, all or nothing and durably, in the room that the agent has reserved for it."""
    reserved = folder / OUTCOME_RESERVE_FILE
    content = msgspec.json.encode(outcome)
    descriptor = os.open(reserved, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        file.truncate(len(content))
        os.fsync(descriptor)
    reserved.replace(folder / OUTCOME_FILE)


def count_oom_kills() -> int:
    """Give how many processes the kernel of this machine has killed for want of memory since it booted; see proc(5)."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").split("\n")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def describe_exit(who: str, status: int, *, stop: StopFile | None = None, oom_kills: int = 0) -> tuple[int, str]:
    """Give an exit status from 0 to 255 and a reason, for a process's status that is negative for a signal.

    :param stop: what was done to end the job, if anything was
    :param oom_kills: processes that the kernel has killed for want of memory while this one ran
    """
    if status == 0:
        return 0, ""
    if status > 0:
        return status, f"{who} exited with status {status}"
    number = -status
    try:
        reason = f"{who} was killed by signal {number} ({signal.Signals(number).name})"
    except ValueError:
        reason = f"{who} was killed by signal {number}"
    if stop is not None:
        reason += f", because the worker was to end it: {stop.reason or 'no reason given'}"
    elif number == signal.SIGKILL and oom_kills > 0:
        reason += (
            "; meanwhile the kernel has killed for want of memory: give the machine or container more of it, or the "
            "worker fewer slots ([edge] worker_concurrency)"
        )
    elif number == signal.SIGKILL:
        reason += "; if nobody had it stopped, perhaps the memory ran out: see the machine's kernel log (dmesg)"
    # A shell's way to give a signal as an exit status.
    return 128 + number, reason
