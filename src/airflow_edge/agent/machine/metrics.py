"""How the machine and the link are doing, measured again and again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from pathlib import Path

import msgspec

from airflow_edge.agent.machine import facts
from airflow_edge.protocol.messages import Metrics

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two measurements."""


class Meter:
    """Measures this machine again and again, and keeps the newest for the next message."""

    def __init__(self, folder: Path) -> None:
        """:param folder: where tasks write"""
        self._folder = folder
        self._counted: tuple[float, int, int] | None = None
        self._newest: Metrics | None = None
        self._times_linked = 1
        self._failed = False

    def measure(self) -> Metrics:
        """Measure the time since the last call, which may block for a moment. What cannot be measured here is None."""
        # Only a worker that is linked and idle needs it: a hundredth of a second that its start does not wait for.
        import psutil

        cpu_percent: float | None = psutil.cpu_percent(None)
        received, sent = self._rates(time.monotonic(), psutil.net_io_counters())
        return Metrics(
            cpu_percent=cpu_percent,
            load=facts.load(),
            memory_percent=psutil.virtual_memory().percent,
            disk_free=_disk_free(self._folder),
            bytes_received=received,
            bytes_sent=sent,
        )

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                self._newest = await asyncio.to_thread(self.measure)
            # Some container or operating system will not say; no measurement is worth a worker.
            except Exception as error:  # noqa: BLE001 - which errors there are depends on the system
                if not self._failed:
                    log.warning("this machine cannot be measured: %s: %s", type(error).__name__, error)
                self._failed = True

    def take(self, round_trip: float | None, times_linked: int) -> Metrics | None:
        """Give what was measured since this was last asked for, together with what the link knows; None if nothing was.

        :param round_trip: seconds, if that is known
        :param times_linked: how often the link was made so far
        """
        newest, self._newest = self._newest, None
        if newest is None:
            return None
        reconnects = max(0, times_linked - self._times_linked)
        self._times_linked += reconnects
        return msgspec.structs.replace(newest, round_trip=round_trip, reconnects=float(reconnects))

    def _rates(self, now: float, counters: object) -> tuple[float | None, float | None]:
        if counters is None:
            return None, None
        received, sent = int(getattr(counters, "bytes_recv", 0)), int(getattr(counters, "bytes_sent", 0))
        before, self._counted = self._counted, (now, received, sent)
        if before is None or now <= before[0] or received < before[1] or sent < before[2]:
            return None, None
        seconds = now - before[0]
        return (received - before[1]) / seconds, (sent - before[2]) / seconds


def _disk_free(folder: Path) -> float | None:
    with contextlib.suppress(OSError):
        return float(shutil.disk_usage(folder).free)
    return None
