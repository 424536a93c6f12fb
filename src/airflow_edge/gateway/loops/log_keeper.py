"""What a gateway process does with logs again and again: merge, move to the log store, delete what has expired.

Every process does all of it, in a thread of its own so that nothing else waits for a slow log store.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime

import attrs

from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.store.logs.logs import LogUnreadableError
from airflow_edge.store.logs.objects import LogStoreError, ObjectStore
from airflow_edge.store.logs.upkeep import LogUpkeep

log = logging.getLogger(__name__)

TIDY_INTERVAL = 5.0
FAILED_PAUSE = 30.0
"""Seconds for which a log store that failed is left alone."""


@attrs.frozen
class LogKeeper:
    """The care of logs in one gateway process."""

    _logs: LogUpkeep
    _config: GatewayConfig
    _calls: StoreCalls = attrs.field(factory=lambda: StoreCalls(threads=1))
    _stopping: threading.Event = attrs.field(factory=threading.Event)

    async def tidy(self) -> None:
        """Do what is due for each log, until cancelled."""
        if (url := self._config.log_store) is not None:
            try:
                await self._calls.run(ObjectStore(url).check)
            except LogStoreError as error:
                log.error("Logs stay in the database: %s", error)
        while True:
            if not await self._tidy_some():
                await asyncio.sleep(TIDY_INTERVAL)

    async def stop(self) -> None:
        """Let what has begun end where it can be cut off."""
        self._stopping.set()
        await asyncio.to_thread(self._calls.close)

    async def _tidy_some(self) -> int:
        try:
            return await self._calls.run(
                self._logs.tidy,
                self._config.log_store,
                clock=lambda: datetime.now(UTC),
                stopping=self._stopping.is_set,
            )
        except (LogStoreError, LogUnreadableError) as error:
            log.warning("A log stays where it is for now: %s", error)
            await asyncio.sleep(FAILED_PAUSE)
        except StoreUnavailableError:
            # It was logged.
            pass
        return 0
