"""Limits of a machine that a test lowers: of processes, by a control group, since root knows no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

_GROUPS = Path("/sys/fs/cgroup/pids")
CAN_LIMIT_PROCESSES = os.access(_GROUPS / "cgroup.procs", os.W_OK)


@contextmanager
def most_processes(pids: Callable[[], Iterable[int]], more: int) -> Iterator[Path]:
    """Let these and their children be only so many more than they are now, as a container or systemd does.

    :param pids: gives those that are there; it is asked until there are no others, since they fork meanwhile
    :return: the file with the limit, as numbers or `max`
    """
    group = _GROUPS / f"airflow-edge-test-{uuid4().hex}"
    group.mkdir()
    limit = group / "pids.max"
    try:
        known: set[int] = set()
        while fresh := set(pids()) - known:
            known |= fresh
            for pid in fresh:
                _move(pid, group)
        limit.write_text(str(int((group / "pids.current").read_text()) + more))
        yield limit
    finally:
        limit.write_text("max")
        while members := (group / "cgroup.procs").read_text().split():
            for member in members:
                _move(int(member), _GROUPS)
        # One that has ended and was not waited for is in none of the lists.
        with suppress(OSError):
            group.rmdir()


def _move(pid: int, group: Path) -> None:
    # It may have ended.
    with suppress(OSError):
        (group / "cgroup.procs").write_text(str(pid))
