"""Calls of the store from the event loop: each runs in one of a few threads."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class StoreUnavailableError(Exception):
    """The database could not be asked, or did not answer; whether a change was made is not known."""


class StoreCalls:
    """The gateway's threads for the database; they start with the first call."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="edge-gateway-store")

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a thread. A call that has begun ends, even if nobody waits for it any more.

        :raises StoreUnavailableError: the database failed.
        """
        call = functools.partial(function, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except SQLAlchemyError as error:
            log.warning("The database could not be asked (%s): %s", getattr(function, "__name__", function), error)
            raise StoreUnavailableError(str(error)) from error

    def close(self) -> None:
        """Let the calls that have begun end, and drop the others."""
        self._threads.shutdown(wait=True, cancel_futures=True)


async def persist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat an idempotent call until the database answers."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await call()
        except StoreUnavailableError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
