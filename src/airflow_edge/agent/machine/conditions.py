"""What is wrong with the machine, so that the worker takes no new job: said in words that name what mends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from airflow_edge.agent.config import MEBIBYTE
from airflow_edge.agent.errors import describe, who
from airflow_edge.protocol.messages import one_line

log = logging.getLogger(__name__)

LOOK_INTERVAL = 2.0
"""Seconds between two looks."""
LONGEST_CONDITION = 500
"""Characters."""
MOST_CONDITIONS = 10
FEWEST_FILES = 100
"""Files that a disk must have room for: a job makes a handful."""


@dataclass(kw_only=True)
class ConditionsWatch:
    """Looks again and again, and tells what has changed."""

    state_dir: Path
    min_free_disk: int
    """MiB."""
    failing: Callable[[], Iterable[str]]
    """Gives what fails in the agent's parts and is tried again; empty texts do not count."""
    found: Callable[[tuple[str, ...]], None]
    """Is told all that is wrong, whenever that has changed."""
    _known: tuple[str, ...] = ()
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def hurry(self) -> None:
        """Look at once: something has changed."""
        self._hurry.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._hurry.clear()
            found = bounded((*look(self.state_dir, self.min_free_disk * MEBIBYTE), *self.failing()))
            for condition in found:
                if condition not in self._known:
                    log.warning("no new jobs: %s", condition)
            if self._known and not found:
                log.info("new jobs are taken again")
            if found != self._known:
                self.found(found)
                self._known = found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL):
                    await self._hurry.wait()


def bounded(texts: Iterable[str]) -> tuple[str, ...]:
    """Give what there is to say as it may be told to the centre: a line each, neither too long nor too many."""
    lines = dict.fromkeys(line for text in texts if (line := one_line(text, LONGEST_CONDITION)))
    return tuple(lines)[:MOST_CONDITIONS]


def look(state_dir: Path, min_free_disk: int) -> tuple[str, ...]:
    """Give all that speaks against new jobs now. Nothing is written for it: a site's disk may wear out.

    :param min_free_disk: bytes
    """
    try:
        # That there is a descriptor to be had is found out by the way.
        folder = os.open(state_dir, os.O_RDONLY)
    except OSError as error:
        return (f"the state folder {state_dir} cannot be used: {describe(error)}",)
    try:
        disk = os.fstatvfs(folder)
    finally:
        os.close(folder)
    found = []
    if not os.access(state_dir, os.W_OK):
        found.append(
            f"the state folder {state_dir} cannot be written to; give it to {who()}, or mount its disk for writing"
        )
    if disk.f_bavail * disk.f_frsize < min_free_disk:
        found.append(
            f"less than {min_free_disk // MEBIBYTE} MiB ([edge] min_free_disk) are free on the disk of the state "
            f"folder {state_dir}; make room there"
        )
    # Some file systems make room for files as they go, and say 0 of 0.
    if min_free_disk and disk.f_files and disk.f_favail < FEWEST_FILES:
        found.append(f"the disk of the state folder {state_dir} has no inodes left for new files; remove some")
    return tuple(found)
