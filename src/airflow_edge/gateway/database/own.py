"""The gateway's own connections to Airflow's database: whoever exhausts Airflow's pool stops nothing here."""

from __future__ import annotations

import os
import threading

from sqlalchemy import Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from airflow_edge.store.transactions import SessionFactory


class OwnSessions:
    """Makes sessions as somebody else does, on connections that are made alike and shared with nobody."""

    def __init__(self, factory: SessionFactory) -> None:
        """:param factory: gives sessions on Airflow's database"""
        self._factory = factory
        self._lock = threading.Lock()
        self._process = 0
        self._source: Engine | None = None
        self._engine: Engine | None = None

    def __call__(self) -> Session:
        """Give a new session."""
        session = self._factory()
        session.bind = self._own(session.get_bind().engine)
        return session

    def dispose(self) -> None:
        """Close the connections; for sessions that come later there are others."""
        with self._lock:
            if self._engine is not None and self._engine is not self._source:
                self._engine.dispose()
            self._engine = self._source = None

    def _own(self, source: Engine) -> Engine:
        with self._lock:
            if self._engine is None or source is not self._source or self._process != os.getpid():
                # What another process has forked off stays with it: those connections are not ours to close.
                self._engine, self._source, self._process = own_engine(source), source, os.getpid()
            return self._engine


def own_engine(source: Engine) -> Engine:
    """Make an engine like this one, with a pool of its own: of the same kind and size, its connections made alike.

    That is so for whatever Airflow's settings, or those who change its engine, have made of it. A database that is
    in one connection, as SQLite's in memory, is shared.
    """
    if isinstance(source.pool, SingletonThreadPool | StaticPool):
        return source
    return Engine(source.pool.recreate(), source.dialect, source.url, hide_parameters=source.hide_parameters)
