"""When to look at the queue: PostgreSQL tells of queued jobs, on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

import asyncpg
from sqlalchemy.engine import URL

from airflow_edge.backoff import Backoff
from airflow_edge.store.jobs.outbox import CHANNEL, QUEUED

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
CHECK_INTERVAL = 20.0
"""Seconds between two signs of life that are asked of the connection: one that died silently is noticed then."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0

_KNOWN: Final = frozenset(
    {
        "host",
        "port",
        "passfile",
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "sslcrl",
        "sslpassword",
        "sslnegotiation",
        "target_session_attrs",
        "gsslib",
        "krbsrvname",
        "service",
        "servicefile",
    }
)
"""Parameters of a libpq URL that asyncpg reads too; it would send any other to the server as a setting."""

_ERRORS: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError)


class QueueSignal:
    """Says when it is worth looking at the queue: because of something here, or because the database notifies us."""

    def __init__(self) -> None:
        self._awake = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether notifications arrive at present."""
        return self._connection is not None

    def wake(self) -> None:
        """Have the queue looked at here."""
        self._awake.set()

    def tell(self) -> None:
        """Have the queue looked at here, and by all other gateways as far as that is possible at present."""
        self.wake()
        if self._connection is not None and not self._telling:
            task = asyncio.create_task(self._tell(self._connection))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def wait(self, patience: float) -> None:
        """Wait until there is a reason to look, or until that many seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._awake.wait()
        self._awake.clear()

    async def _tell(self, connection: asyncpg.Connection) -> None:
        # Were it not to get through, the others would look at the queue by themselves soon.
        with suppress(*_ERRORS):
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, QUEUED, timeout=CONNECT_TIMEOUT)

    async def listen(self, dsn: str) -> None:
        """Wake for each notification, and after each connection, until cancelled.

        :param dsn: as `dsn_of` gives it
        """
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT)
                try:
                    await connection.add_listener(CHANNEL, lambda *_: self.wake())
                    pauses.reset()
                    self._connection = connection
                    self.wake()
                    await _until_lost(connection)
                finally:
                    self._connection = None
                    connection.terminate()
            except _ERRORS as error:
                log.warning(
                    "No notifications from the database (%s: %s); the queue is polled meanwhile, and the connection is "
                    "tried again",
                    type(error).__name__,
                    error,
                )
            await asyncio.sleep(pauses.next())


async def _until_lost(connection: asyncpg.Connection) -> None:
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    while True:
        try:
            await asyncio.wait_for(lost.wait(), CHECK_INTERVAL)
        except TimeoutError:
            await connection.execute("SELECT 1", timeout=CONNECT_TIMEOUT)
        else:
            raise ConnectionError("the connection was lost")


def dsn_of(url: URL) -> str | None:
    """Give the address for asyncpg of the database that SQLAlchemy reaches by this URL; None if it is no PostgreSQL."""
    if url.get_backend_name() != "postgresql":
        return None
    unknown = [name for name in url.query if name not in _KNOWN]
    plain = url.set(drivername="postgresql").difference_update_query(unknown)
    return plain.render_as_string(hide_password=False)
