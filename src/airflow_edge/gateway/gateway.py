"""The gateway of one API server process: it gets ready beside the server's start, and never stands in its way."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from airflow import settings
from sqlalchemy import Connection, inspect
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from airflow_edge.backoff import Backoff
from airflow_edge.gateway.centre import Centre
from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.gateway.database.notify import Listener, dsn_of
from airflow_edge.gateway.files import allow_many_files
from airflow_edge.gateway.http.answers import not_ready
from airflow_edge.gateway.task_api import TaskApi
from airflow_edge.store.store import Store
from airflow_edge.store.tables import Base
from airflow_edge.store.transactions import SessionFactory

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 10.0
"""Seconds between two attempts to get ready."""


class Gateway:
    """What is behind the gateway's endpoints, as soon as it is ready."""

    def __init__(self, config: GatewayConfig, session_factory: SessionFactory | None = None) -> None:
        """Connect to nothing yet.

        :param session_factory: gives sessions on Airflow's database; Airflow's own where it is not given
        """
        self._config = config
        self._session_factory = session_factory
        self._centre: Centre | None = None
        self._task_api: TaskApi | None = None
        self._obstacle = "The gateway is starting; try again."

    def check_ready(self) -> None:
        """Raise `RefusedError` unless calls can be served."""
        if self._centre is None or self._task_api is None:
            raise not_ready(self._obstacle)

    @property
    def centre(self) -> Centre:
        """The centre.

        :raises RefusedError: it is not ready.
        """
        if self._centre is None:
            raise not_ready(self._obstacle)
        return self._centre

    @property
    def task_api(self) -> TaskApi:
        """Airflow's Execution API.

        :raises RefusedError: it is not ready.
        """
        if self._task_api is None:
            raise not_ready(self._obstacle)
        return self._task_api

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load Airflow's Execution API, get ready in the background, and end everything afterwards.

        Nothing that goes wrong here reaches the API server.
        """
        allow_many_files()
        calls = StoreCalls()
        async with AsyncExitStack() as stack:
            task_api = await self._start_task_api(stack)
            # What is loaded by now stays. Each search through all of it for garbage would stop every link for a second.
            gc.freeze()
            getting_ready = asyncio.create_task(self._get_ready(task_api, calls)) if task_api else None
            try:
                yield
            finally:
                if getting_ready is not None:
                    getting_ready.cancel()
                    await asyncio.gather(getting_ready, return_exceptions=True)
                if self._centre is not None:
                    await self._centre.stop()
                self._centre = self._task_api = None
                await asyncio.to_thread(calls.close)

    async def _start_task_api(self, stack: AsyncExitStack) -> TaskApi | None:
        try:
            task_api = TaskApi()
            await stack.enter_async_context(task_api.running())
        # Whatever it is, Airflow's own API server has to start all the same.
        except Exception as error:
            self._obstacle = f"The gateway could not start ({error}); the API server's log says more."
            log.exception("The edge gateway could not start Airflow's Execution API; no worker can link here")
            return None
        return task_api

    async def _get_ready(self, task_api: TaskApi, calls: StoreCalls) -> None:
        factory = self._session_factory or _airflow_session
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                if self._centre is None and (url := await self._look_at(calls, factory)):
                    self._begin(calls, factory, url)
                if self._centre is not None:
                    # Workers come back meanwhile; the calls of their tasks wait for this.
                    await task_api.warm_up()
                    self._task_api = task_api
                    log.info("The edge gateway is ready (%s)", self._centre.id)
                    return
            # The reasons are many, and none must end the attempts.
            except Exception as error:
                self._obstacle = f"The gateway is not ready ({type(error).__name__}); the API server's log says more."
                log.exception("The edge gateway is not ready; it tries again")
            await asyncio.sleep(pauses.next())

    async def _look_at(self, calls: StoreCalls, factory: SessionFactory) -> URL | None:
        """Give the database's address if it has the tables; say what to do if not."""
        try:
            url, missing = await calls.run(_examine, factory)
        except StoreUnavailableError:
            self._obstacle = "The centre's database does not answer; try again."
            return None
        if missing:
            self._obstacle = "The tables of airflow-edge are missing at the centre: run 'airflow db migrate' there."
            log.error("The edge gateway waits: the tables %s are missing. Run: airflow db migrate", ", ".join(missing))
            return None
        return url

    def _begin(self, calls: StoreCalls, factory: SessionFactory, url: URL) -> None:
        dsn = dsn_of(url)
        self._centre = Centre(self._config, Store(factory), calls, Listener(dsn) if dsn else None)
        self._centre.start()
        self._obstacle = "The gateway is loading Airflow's Execution API; try again."


def _airflow_session() -> Session:
    if settings.NonScopedSession is None:
        raise RuntimeError("Airflow's database session is not set up in this process")
    session: Session = settings.NonScopedSession()
    return session


def _examine(factory: SessionFactory) -> tuple[URL, list[str]]:
    with factory() as session:
        connection: Connection = session.connection()
        there = inspect(connection).get_table_names()
        return connection.engine.url, sorted(Base.metadata.tables.keys() - set(there))
