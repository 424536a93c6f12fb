"""The logs of finished jobs, kept at the site for troubleshooting: `logs/<job id>.<assignment>/`.

Such a folder is the job's own, renamed, without what the supervisor was told. Dag and run ids are only ever read out of
`about.json`: they come from outside, and never become a path.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from airflow_edge.protocol.local import JOB_FILE, LOG_FILE, SUPERVISOR_LOG_FILE, JobFile
from airflow_edge.site.files import DamagedError, decode, make_folder, read

log = logging.getLogger(__name__)

ABOUT_FILE = "about.json"
LOOK_INTERVAL = 30.0
"""Seconds between two looks at the disk's free room."""
PRUNE_INTERVAL = 600.0
"""Seconds between two looks at all copies, where the disk has room."""
MOST_UNCOUNTED = 200
"""Copies made since the last look at all of them after which the next one is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept. No age, or no size, means that nothing is kept at all."""

    max_age: float
    """Seconds."""
    max_size: int
    """Bytes, all copies together."""
    min_free: int
    """Bytes that stay free on the disk: copies go before it gets fuller."""

    @property
    def nothing(self) -> bool:
        """Whether nothing is to be kept."""
        return self.max_age <= 0 or self.max_size <= 0


@dataclass(frozen=True, slots=True)
class Copy:
    """A kept log."""

    name: str
    size: int
    """Bytes on the disk."""
    kept_at: float
    """Seconds since the epoch."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a job was, in Airflow's words; empty where it is not known, or where it was a callback or a test."""

    kind: str = "task"
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 1

    @property
    def name(self) -> str:
        """Dag, run and task as a person would type them."""
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return "/".join(part for part in (self.dag_id, self.run_id, f"{self.task_id}{mapped}") if part) or self.kind


class Copies:
    """The kept logs of a worker. `keep` and `prune` may be called from any thread."""

    def __init__(self, root: Path, limits: Limits) -> None:
        """:raises OSError: the folder cannot be made."""
        self._root = root
        self._limits = limits
        self._uncounted = 0
        make_folder(root)

    def keep(self, folder: Path) -> bool:
        """Take a finished job's folder over, by renaming it; False if there is nothing in it to keep.

        What a crash leaves half done is done by the next call for the same folder.
        """
        if self._limits.nothing or not any(_size(folder / name) for name in (LOG_FILE, SUPERVISOR_LOG_FILE)):
            return False
        target = self._root / folder.name
        try:
            if not (folder / ABOUT_FILE).exists():
                temporary = folder / f".{ABOUT_FILE}"
                temporary.write_bytes(msgspec.json.encode(about(folder)))
                temporary.replace(folder / ABOUT_FILE)
            (folder / JOB_FILE).unlink(missing_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)
        except OSError as error:
            log.warning("the log of job %s cannot be kept: %s", folder.name, error)
            return False
        self._uncounted += 1
        return True

    def prune(self) -> None:
        """Delete what is too old, too much, or in the way of others on the disk."""
        self._uncounted = 0
        copies = [copy for path in _folders(self._root) if (copy := _copy(path)) is not None]
        for name in to_remove(copies, self._limits, now=time.time(), free=_free(self._root)):
            shutil.rmtree(self._root / name, ignore_errors=True)

    async def run(self) -> None:
        """Prune now and then, in a thread."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            full = _free(self._root) < self._limits.min_free
            if full or clock() >= due or self._uncounted >= MOST_UNCOUNTED:
                due = clock() + PRUNE_INTERVAL
                try:
                    await asyncio.to_thread(self.prune)
                except OSError as error:
                    log.warning("the kept logs in %s cannot be looked through: %s", self._root, error)
            await asyncio.sleep(LOOK_INTERVAL)


def to_remove(copies: Iterable[Copy], limits: Limits, *, now: float, free: int) -> list[str]:
    """Give the names of the copies that have to go, oldest first; a younger one never goes before an older one.

    :param now: seconds since the epoch
    :param free: bytes that are free on the disk now
    """
    oldest_first = sorted(copies, key=lambda copy: (copy.kept_at, copy.name))
    total = sum(copy.size for copy in oldest_first)
    removed: list[str] = []
    for copy in oldest_first:
        too_old = limits.nothing or now - copy.kept_at > limits.max_age
        if not too_old and total <= limits.max_size and free >= limits.min_free:
            break
        removed.append(copy.name)
        total -= copy.size
        free += copy.size
    return removed


def about(folder: Path) -> About:
    """Say what the job of this folder is or was: one under way, or a kept one."""
    with contextlib.suppress(OSError, DamagedError):
        if known := read(folder / ABOUT_FILE, About):
            return known
    try:
        job = read(folder / JOB_FILE, JobFile)
        if job is None:
            return About()
        if job.kind == "test":
            return About(kind=job.kind)
        workload = decode(job.workload, dict[str, Any])
        if job.kind == "callback":
            data = (workload.get("callback") or {}).get("data") or {}
            return msgspec.convert({"kind": "callback", "dag_id": data.get("dag_id") or ""}, About)
        return msgspec.convert(workload.get("ti") or {}, About)
    except (OSError, DamagedError, msgspec.MsgspecError, AttributeError):
        return About()


def _folders(root: Path) -> list[Path]:
    with os.scandir(root) as entries:
        return [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _copy(path: Path) -> Copy | None:
    """Measure a copy; None if it is gone meanwhile, or cannot be looked into: that is no reason to keep the others."""
    try:
        with os.scandir(path) as entries:
            sizes = [entry.stat(follow_symlinks=False).st_blocks * 512 for entry in entries]
        facts = path.stat()
    except OSError:
        return None
    return Copy(path.name, facts.st_blocks * 512 + sum(sizes), facts.st_mtime)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _free(path: Path) -> int:
    """Give the bytes that are free on the disk for this user; as good as endless where that cannot be known."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 2**63
