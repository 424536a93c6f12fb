"""What is wrong with the machine, so that the worker takes no new job: said in words that name what mends it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_edge.agent.config import MEBIBYTE
from airflow_edge.agent.errors import describe

log = logging.getLogger(__name__)

LOOK_INTERVAL = 2.0
"""Seconds between two looks."""
FEWEST_FILES = 100
"""Files that a disk must have room for: a job makes a handful."""


@dataclass(kw_only=True)
class ConditionsWatch:
    """Looks again and again, and tells what has changed."""

    state_dir: Path
    min_free_disk: int
    """MiB."""
    failing: Callable[[], str]
    """Gives what fails in the agent and is tried again, empty if nothing does."""
    found: Callable[[tuple[str, ...]], None]
    """Is told all that is wrong, whenever that has changed."""
    _known: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            found = look(self.state_dir, self.min_free_disk * MEBIBYTE)
            if condition := self.failing():
                found += (condition,)
            for condition in found:
                if condition not in self._known:
                    log.warning("no new jobs: %s", condition)
            if self._known and not found:
                log.info("new jobs are taken again")
            if found != self._known:
                self.found(found)
                self._known = found
            await asyncio.sleep(LOOK_INTERVAL)


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
            f"the state folder {state_dir} cannot be written to; give it to this user, or mount its disk for writing"
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
