"""The processes of a job. Each supervisor leads a session of its own: so what it leaves behind is found."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

_ROUNDS = 5
"""A process may fork while it is being killed; its child is found in the next round."""


def terminate_task(supervisor: int) -> bool:
    """Send SIGTERM to the task, so that its `on_kill` runs; False if the supervisor has no child (yet, or any more).

    A task that leads a process group (Airflow 3.3) gets it with its whole group, as from Airflow's own supervisor.
    """
    try:
        children = psutil.Process(supervisor).children()
    except psutil.NoSuchProcess:
        return False
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(child.pid) == child.pid:
                os.killpg(child.pid, signal.SIGTERM)
            else:
                os.kill(child.pid, signal.SIGTERM)
    return bool(children)


def kill_session(supervisor: int) -> int:
    """SIGKILL whatever is in the supervisor's session or descends from it, except the supervisor; say how many were."""
    killed = 0
    for _ in range(_ROUNDS):
        doomed = _below(supervisor)
        if not doomed:
            break
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                killed += 1
    return killed


def _below(supervisor: int) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if os.getsid(pid) == supervisor:
                process = psutil.Process(pid)
                found |= {process, *process.children(recursive=True)}
    return {process for process in found if process.pid != supervisor and _is_alive(process)}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
