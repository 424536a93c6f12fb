"""Hears from PostgreSQL that jobs were queued, on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
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


class Listener:
    """The listening connection of one gateway process."""

    def __init__(self, dsn: str) -> None:
        """Connect to nothing yet.

        :param dsn: as `dsn_of` gives it
        """
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether notifications arrive at present."""
        return self._connection is not None

    def tell(self) -> None:
        """Notify all listeners, here and elsewhere, as far as that is possible at present."""
        if self._connection is not None and not self._telling:
            task = asyncio.create_task(self._tell(self._connection))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, connection: asyncpg.Connection) -> None:
        # Were it not to get through, the others would look at the queue by themselves soon.
        with suppress(*_ERRORS):
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, QUEUED, timeout=CONNECT_TIMEOUT)

    async def run(self, notified: Callable[[], None]) -> None:
        """Call `notified` for each notification, and after each connection, until cancelled."""
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=CONNECT_TIMEOUT)
                try:
                    await connection.add_listener(CHANNEL, lambda *_: notified())
                    pauses.reset()
                    self._connection = connection
                    notified()
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
