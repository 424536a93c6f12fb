"""Notifications count when they come through, not when something is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import sessionmaker

from airflow_edge.gateway.database import notify
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.listener import probe
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.store.store import Store
from harness.database import Database, PostgresServer
from harness.pgbouncer import HOW_TO_INSTALL, PgBouncer, find_pgbouncer
from tests.integration.gateway.world import wait_until

needs_pgbouncer = pytest.mark.skipif(find_pgbouncer() is None, reason=HOW_TO_INSTALL)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with PostgresServer().running() as server:
        yield server.create("notified")


@pytest.fixture(params=["postgresql+psycopg2", "postgresql+psycopg"])
def driver(request: pytest.FixtureRequest) -> str:
    if request.param.endswith("psycopg"):
        pytest.importorskip("psycopg")
    return request.param


def engine_of(database: Database, driver: str) -> Engine:
    return create_engine(database.url.replace("postgresql+psycopg2", driver))


class Listening:
    """A signal that listens by one engine and is told by another."""

    def __init__(self, listens: Engine, tells: Engine) -> None:
        self._calls = StoreCalls(1)
        self.store = Store(sessionmaker(tells))
        self.signal = QueueSignal(self._notify)
        self._listens = listens

    async def _notify(self, payload: str) -> None:
        await self._calls.run(self.store.queue.notify, payload)

    async def __aenter__(self) -> Listening:
        self._task = asyncio.create_task(self.signal.listen(self._listens))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._calls.close()


async def test_a_notification_wakes(database: Database, driver: str) -> None:
    engine = engine_of(database, driver)
    async with Listening(engine, engine) as one, Listening(engine, engine) as other:
        for each in (one, other):
            await wait_until(partial(getattr, each.signal, "connected"), bool)
            await each.signal.wait(60)
        one.signal.tell()
        async with asyncio.timeout(30):
            await other.signal.wait(60)
        assert await asyncio.to_thread(probe, engine, one.store.queue.notify, patience=30)
    engine.dispose()


@needs_pgbouncer
async def test_behind_a_pooler_in_transaction_mode_nothing_is_heard_and_that_is_known(
    database: Database, driver: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "PROOF_PATIENCE", 0.5)
    with PgBouncer(database, "transaction") as pooler:
        pooled, direct = engine_of(pooler.database, driver), engine_of(database, driver)
        async with Listening(pooled, pooled) as behind:
            await wait_until(lambda: "pooler in transaction mode" in caplog.text, bool)
            assert not behind.signal.connected
            assert not await asyncio.to_thread(probe, pooled, behind.store.queue.notify, patience=0.5)
            # It leads past the pooler, and what is said through the pooler is heard there.
            async with Listening(direct, pooled) as past:
                await wait_until(lambda: past.signal.connected, bool)
            await asyncio.sleep(0)
        assert caplog.text.count("pooler in transaction mode") == 1
        pooled.dispose()
        direct.dispose()


@needs_pgbouncer
async def test_behind_a_pooler_in_session_mode_all_is_heard(database: Database, driver: str) -> None:
    with PgBouncer(database, "session") as pooler:
        engine = engine_of(pooler.database, driver)
        async with Listening(engine, engine) as behind:
            await wait_until(lambda: behind.signal.connected, bool)
        engine.dispose()


async def test_the_address_may_name_several_servers(database: Database, driver: str) -> None:
    """libpq tries them one after the other; the first is not there."""
    url = create_engine(database.url).url
    several = url.set(drivername=driver, host=None, port=None, query={"host": ["127.0.0.1:1", f"127.0.0.1:{url.port}"]})
    engine = create_engine(several)
    async with Listening(engine, engine) as one:
        await wait_until(lambda: one.signal.connected, bool)
    engine.dispose()
