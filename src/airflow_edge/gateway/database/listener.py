"""A connection that listens to PostgreSQL's notifications, made as Airflow's own are: same driver, same arguments."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any, Final, cast

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from airflow_edge.store.jobs.outbox import CHANNEL

PROOF: Final = "proof "
"""How a notification begins by which one listener finds out whether it hears anything; the others ignore it."""


class NotHeardError(Exception):
    """The connection is there, and what was notified did not come through it."""

    def __init__(self) -> None:
        super().__init__(
            "notifications do not come through: is there a connection pooler in transaction mode, like PgBouncer? Jobs "
            "start sooner if [edge] listener_sql_alchemy_conn leads past it, to PostgreSQL itself"
        )


class Listener:
    """One connection, in nobody's pool. Not for two threads at once; may raise what `errors_of` gives."""

    def __init__(self, engine: Engine) -> None:
        """Connect, and listen."""
        self.heard: list[str] = []
        """What was notified since it was last looked at."""
        pooled = engine.raw_connection()
        self._connection = cast("Any", pooled.dbapi_connection)
        # From here on the pool has a place for another one.
        pooled.detach()
        try:
            self._connection.autocommit = True
            self._connection.cursor().execute(f"LISTEN {CHANNEL}")
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Give the socket, which can be read from when there may be something to hear."""
        return int(self._connection.fileno())

    def listen(self) -> list[str]:
        """Give what has been notified since; waits for nothing."""
        connection = self._connection
        if hasattr(connection, "pgconn"):
            connection.pgconn.consume_input()
            while (notification := connection.pgconn.notifies()) is not None:
                self.heard.append(notification.extra.decode(errors="replace"))
        else:
            connection.poll()
            self.heard += [notification.payload for notification in connection.notifies]
            connection.notifies.clear()
        heard, self.heard = self.heard, []
        return heard

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def listener_engine(engine: Engine, address: str | None) -> Engine:
    """Give what makes the connection: Airflow's engine, or one for an address of its own.

    :raises ValueError: it is no address of a PostgreSQL.
    """
    if not address:
        return engine
    try:
        url = make_url(address)
    except SQLAlchemyError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise ValueError(
            "[edge] listener_sql_alchemy_conn has to be like [database] sql_alchemy_conn: postgresql+…://…"
        )
    return create_engine(url, poolclass=NullPool)


def errors_of(engine: Engine) -> tuple[type[BaseException], ...]:
    """Give what a listener made of this engine may raise."""
    return (OSError, SQLAlchemyError, engine.dialect.loaded_dbapi.Error)


def probe(engine: Engine, tell: Callable[[str], object], *, patience: float) -> bool:
    """Say whether a notification comes through.

    :param engine: as `listener_engine` gives it
    :param tell: notifies, by another connection
    :param patience: seconds
    """
    listener = Listener(engine)
    try:
        word = f"{PROOF}{id(listener)} {time.monotonic_ns()}"
        tell(word)
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            select.select([listener.fileno()], [], [], left)
            if word in listener.listen():
                return True
        return False
    finally:
        listener.close()
