"""Waits until something in the jobs' folders changes: with inotify where there is one, else by looking again soon."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

POLL_INTERVAL = 0.25
"""Seconds between two looks where nothing tells of changes."""
SAFETY_INTERVAL = 5.0
"""Seconds between two looks where something does: file systems do not tell of everything that others write."""

RETRY_INTERVAL = 60.0
"""Seconds after which what could not be watched is tried again: no descriptor, or no watch, may have been left."""

_EVENTS = 0x2 | 0x40 | 0x80 | 0x100 | 0x200
"""IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE of inotify(7)."""


class Watch:
    """Folders that are watched."""

    def __init__(self, *, inotify: bool = True) -> None:
        """:param inotify: use it if there is one"""
        self._changed = asyncio.Event()
        self._watched: dict[Path, int | None] = {}
        self._libc: Any = None
        self._descriptor: int | None = None
        self._inotify = inotify and sys.platform == "linux"
        self._started = False
        self._retry_at = 0.0

    @property
    def told(self) -> bool:
        """Whether all changes are told of."""
        return self._descriptor is not None and None not in self._watched.values()

    def start(self) -> None:
        """Listen, in the running event loop: for the first time, or again."""
        self._started = True
        for folder in self._watched:
            self.add(folder)

    def add(self, folder: Path) -> None:
        """Watch the files directly in this folder."""
        if self._started and self._inotify and self._descriptor is None:
            # With the first folder: a worker without tasks has nothing to watch.
            self._open()
        self._watched[folder] = None if self._descriptor is None else self._add(folder)

    def _try_again(self) -> None:
        """Watch what could not be watched, now and then."""
        now = time.monotonic()
        if self._inotify and not self.told and now >= self._retry_at:
            self._retry_at = now + RETRY_INTERVAL
            for folder in [folder for folder, number in self._watched.items() if number is None]:
                self.add(folder)

    def remove(self, folder: Path) -> None:
        """Watch it no longer."""
        number = self._watched.pop(folder, None)
        if number is not None:
            # It is gone by itself where the folder is.
            self._libc.inotify_rm_watch(self._descriptor, number)

    def poke(self) -> None:
        """End the waiting."""
        self._changed.set()

    async def wait(self) -> None:
        """Wait until something may have changed since the last time; for ever, if there is nothing to watch."""
        self._try_again()
        interval = SAFETY_INTERVAL if self.told else POLL_INTERVAL
        waiting = asyncio.ensure_future(self._changed.wait())
        await asyncio.wait({waiting}, timeout=interval if self._watched else None)
        waiting.cancel()
        self._changed.clear()

    def close(self) -> None:
        """Let go of everything."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            self._watched = dict.fromkeys(self._watched)
        self._started = False

    def _open(self) -> None:
        try:
            import ctypes

            self._libc = ctypes.CDLL(None, use_errno=True)
            descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (ImportError, AttributeError) as error:
            log.info("there is no inotify (%s): logs are looked at every %s s", error, POLL_INTERVAL)
            self._inotify = False
            return
        except (OSError, MemoryError):
            descriptor = -1
        if descriptor < 0:
            log.info("there is no inotify to be had now: logs are looked at every %s s", POLL_INTERVAL)
            self._retry_at = time.monotonic() + RETRY_INTERVAL
            return
        self._descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._told, descriptor)

    def _add(self, folder: Path) -> int | None:
        number: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _EVENTS)
        if number < 0:
            log.info("%s cannot be watched: it is looked at every %s s", folder, POLL_INTERVAL)
            return None
        return number

    def _told(self, descriptor: int) -> None:
        try:
            os.read(descriptor, 64 * 1024)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("what changes cannot be heard of: %s; trying again", error)
            self.close()
            self._started = True
        self._changed.set()
