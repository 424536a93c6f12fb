"""Calls of the store from the event loop: each runs in one of a few threads."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from airflow_edge.backoff import Backoff

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

_OUTAGES = (OperationalError, InterfaceError, PoolTimeoutError)
"""Not reachable, or too busy; anything else is somebody's mistake."""


class StoreUnavailableError(Exception):
    """The database could not be asked, or did not answer; whether a change was made is not known."""


class StoreRefusedError(StoreUnavailableError):
    """The database is there, and did not do what it was asked."""


def is_outage(error: BaseException) -> bool:
    """Say whether the database could not be asked, whatever it was: anything else is the fault of what was asked."""
    return isinstance(error, StoreUnavailableError) and not isinstance(error, StoreRefusedError)


class StoreCalls:
    """The gateway's threads for the database; they start with the first call."""

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="edge-gateway-store")
        self._outage_since: float | None = None
        self.failed_at = float("-inf")
        """When the database has last not answered, by the event loop's clock."""

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a thread. A call that has begun ends, even if nobody waits for it any more.

        :raises StoreUnavailableError: the database failed.
        """
        loop = asyncio.get_running_loop()
        call = functools.partial(function, *args, **kwargs)
        try:
            answer = await loop.run_in_executor(self._threads, call)
        except _OUTAGES as error:
            self.failed_at = loop.time()
            if self._outage_since is None:
                self._outage_since = loop.time()
                reason = str(error).partition("\n")[0]
                log.warning("The database does not answer; it is asked again and again: %s", reason)
            raise StoreUnavailableError(str(error)) from error
        except SQLAlchemyError as error:
            log.exception("The database did not do what it was asked (%s)", getattr(function, "__name__", function))
            raise StoreRefusedError(str(error)) from error
        if self._outage_since is not None:
            log.info("The database answers again, after %.0f s", loop.time() - self._outage_since)
            self._outage_since = None
        return answer

    def close(self) -> None:
        """Let the calls that have begun end, and drop the others."""
        self._threads.shutdown(wait=True, cancel_futures=True)


async def persist(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Repeat an idempotent call until the database answers."""
    pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        try:
            return await call(*args, **kwargs)
        except StoreUnavailableError:
            await asyncio.sleep(pauses.next())
