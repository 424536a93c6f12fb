"""How an agent ends: in good order where that can be."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from airflow_edge.agent.net.http import HttpClient

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def closing(http: HttpClient) -> AsyncIterator[None]:
    """Close it in the end, or leave that to the kernel: an installation that is gone keeps no agent from ending."""
    try:
        yield
    finally:
        try:
            await http.aclose()
        except Exception as error:  # noqa: BLE001 - of whatever library
            log.warning("the connections to the centre cannot be closed in good order: %s", error)
