"""The mark by which others see that a gateway runs, whatever their own settings say."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from airflow_edge import __version__
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.rules.processes import CentreProcess
from airflow_edge.store.processes import Processes


class GatewayMark:
    """One gateway's mark; made by the process that serves."""

    def __init__(self, process_id: UUID, processes: Processes, calls: StoreCalls) -> None:
        self._processes = processes
        self._calls = calls
        self.id: UUID | None = None
        """By which this gateway is known in its database; None as long as it is not there."""
        now = datetime.now(UTC)
        self._process = CentreProcess(
            id=process_id,
            kind="gateway",
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            executors="",
            started_at=now,
            seen_at=now,
        )

    async def leave(self) -> None:
        """Note that this gateway is there."""
        await self._calls.run(self._processes.mark, replace(self._process, seen_at=datetime.now(UTC)))
        self.id = self._process.id

    async def end(self) -> None:
        """Note that it ends; where that cannot be noted, it is seen after a while."""
        with suppress(StoreUnavailableError):
            await self._calls.run(self._processes.ended, self._process.id, now=datetime.now(UTC))
