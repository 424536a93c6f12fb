"""What Linux offers a process beyond Python's own library; elsewhere nothing of it is there, and that is said."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

_PR_SET_CHILD_SUBREAPER: Final = 36


def become_subreaper() -> bool:
    """Have what descends from this process become its child when its own parent ends, see prctl(2).

    False where there is no such thing. It is this process's only: a child of it does not inherit it.
    """
    return sys.platform == "linux" and _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> bool:
    return bool(_libc().prctl(option, value, 0, 0, 0) == 0)


def _libc() -> Any:
    # An agent, which is small, has no use for it.
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def children() -> list[int] | None:
    """Give the pids of this process's children, the dead that were not waited for included; None if it cannot be known.

    :raises OSError: it cannot be known now.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    try:
        # A file of the kernel for each thread; not every kernel has it. To look at all processes takes long.
        files = [Path(entry.path, "children") for entry in os.scandir("/proc/self/task")]
        return [int(pid) for file in files for pid in file.read_text(encoding="ascii").split()]
    except FileNotFoundError:
        return None
