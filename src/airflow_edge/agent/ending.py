"""How an agent ends: in good order where that can be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

from airflow_edge.agent.net.http import HttpClient
from airflow_edge.texts import counted

log = logging.getLogger(__name__)

LOOK_INTERVAL: Final = 0.05
"""Seconds between two looks at what is left; there is nothing else to do then."""
PATIENCE: Final = 10.0
"""Seconds in which the centre has to take something of what is left, or a worker that shuts down goes without."""
HURRIED_PATIENCE: Final = 3.0
"""Seconds that a worker which was terminated has for all of it."""


async def deliver(left: Callable[[], int], progress: Callable[[], object], hurried: Callable[[], bool]) -> None:
    """Wait until the outcomes and logs of the last jobs are at the centre, for as long as it takes some of them.

    :param left: how many jobs have something that is not there
    :param progress: something else each time the centre has taken a piece
    :param hurried: whether the worker was terminated
    """
    loop = asyncio.get_running_loop()
    seen, since, ends = progress(), loop.time(), float("inf")
    while left():
        now = loop.time()
        ends = min(ends, now + HURRIED_PATIENCE) if hurried() else ends
        if (moved := progress()) != seen:
            seen, since = moved, now
        if now >= ends or now - since >= PATIENCE:
            return
        await asyncio.sleep(LOOK_INTERVAL)


def say_what_is_left(jobs: int) -> None:
    """Tell in the log that the centre does not have all of these jobs."""
    if jobs:
        log.warning(
            "the outcomes or logs of %s are not completely at the centre; they are kept in the state folder, and "
            "sent when a worker is started here again",
            counted(jobs, "job"),
        )


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
