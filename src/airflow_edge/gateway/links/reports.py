"""A worker's reports on their way into the store: those that arrive during one transaction share the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from airflow_edge.gateway.database.calls import persist
from airflow_edge.rules.reports import Reading, Report

MOST_WAITING = 2_000
"""When more wait, the link is not read any further."""
MOST_AT_ONCE = 500

Numbered: TypeAlias = tuple[int, Report]


class ReportLane:
    """The reports of one link, in the order in which they came."""

    def __init__(
        self,
        settle: Callable[[list[Report]], Awaitable[list[Reading]]],
        settled: Callable[[list[tuple[int, Report, Reading]]], None],
    ) -> None:
        """Set it up; `run` does the work.

        :param settle: applies reports in one transaction
        :param settled: is told of each transaction that was committed: number, report, and how it was read
        """
        self._settle = settle
        self._settled = settled
        self._waiting: asyncio.Queue[Numbered] = asyncio.Queue(MOST_WAITING)

    async def put(self, seq: int, report: Report) -> None:
        """Add a report, as soon as there is room."""
        await self._waiting.put((seq, report))

    async def run(self) -> None:
        """Settle reports until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty() and len(batch) < MOST_AT_ONCE:
                batch.append(self._waiting.get_nowait())
            reports = [report for _, report in batch]
            readings = await persist(lambda reports=reports: self._settle(reports))  # type: ignore[misc]
            self._settled([(seq, report, reading) for (seq, report), reading in zip(batch, readings, strict=True)])
