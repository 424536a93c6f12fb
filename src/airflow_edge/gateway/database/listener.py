"""A connection that listens to PostgreSQL's notifications, made as Airflow's own are: same driver, same arguments."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import Any, Final, cast

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from airflow_edge.store.transactions import CHANNEL

CONNECT_TIMEOUT: Final = 10
"""Seconds for each server of the address to answer, where its address or `[database]` does not say otherwise."""

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
        self._connection = _connect(engine)
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


def _connect(engine: Engine) -> Any:
    """Connect anew as an engine does, its pool left alone; a server that says nothing is not waited for for ever."""
    with _IN_TIME:
        pooled = engine.pool.recreate().connect()
    connection = cast("Any", pooled.dbapi_connection)
    pooled.detach()
    return connection


class _InTime(threading.local):
    """Gives the connections that this thread makes now a time limit, and no others."""

    on = False

    def __enter__(self) -> None:
        self.on = True

    def __exit__(self, *_: object) -> None:
        self.on = False

    def limit(self, _dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        """Add to what a driver is called with, as SQLAlchemy's `do_connect`."""
        if self.on:
            options.setdefault("connect_timeout", CONNECT_TIMEOUT)


_IN_TIME: Final = _InTime()


def listener_engine(engine: Engine, address: str | None) -> Engine:
    """Give what makes the connection: Airflow's engine, or one for an address of its own.

    :raises ValueError: it is no address of a PostgreSQL.
    """
    if not address:
        return _limited(engine)
    try:
        url = make_url(address)
    except SQLAlchemyError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise ValueError(
            "[edge] listener_sql_alchemy_conn has to be like [database] sql_alchemy_conn: postgresql+…://…"
        )
    return _limited(create_engine(url, poolclass=NullPool))


def _limited(engine: Engine) -> Engine:
    if not event.contains(engine, "do_connect", _IN_TIME.limit):
        event.listen(engine, "do_connect", _IN_TIME.limit)
    return engine


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
