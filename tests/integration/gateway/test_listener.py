"""Notifications count when they come through, not when something is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import sessionmaker

from airflow_edge.gateway.database import listener, notify
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.listener import Listener, listener_engine, probe
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.store.schema import in_words
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
    return request.param


def engine_of(database: Database, driver: str) -> Engine:
    return create_engine(database.url.replace("postgresql+psycopg2", driver))


class Listening:
    """A signal that listens by one engine and is told by another."""

    def __init__(self, listens: Engine, tells: Engine) -> None:
        self._calls = StoreCalls(1)
        self.store = Store(sessionmaker(tells))
        self.demand = Demand()
        self.signal = QueueSignal(self._notify, self.demand)
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
            each.demand.begin_look()
            each.demand.take(1, 0.0)
            assert not each.demand.awake.is_set()
        await asyncio.to_thread(one.store.queue.notify, "queued")
        async with asyncio.timeout(30):
            await other.demand.awake.wait()
        assert await asyncio.to_thread(probe, engine, one.store.queue.notify, patience=30)
    engine.dispose()


async def test_a_server_that_takes_the_call_and_says_nothing_is_not_waited_for_for_ever(
    driver: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "CONNECT_TIMEOUT", 2)
    callers: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def answer_nobody(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.put_nowait(writer)

    silent = await asyncio.start_server(answer_nobody, "127.0.0.1", 0)
    address = f"{driver}://airflow@127.0.0.1:{silent.sockets[0].getsockname()[1]}/airflow"
    engine = create_engine(address)
    signal = QueueSignal(lambda payload: asyncio.sleep(0), Demand())
    listening = asyncio.create_task(signal.listen(listener_engine(engine, None)))
    async with asyncio.timeout(60):
        # It has given the first one up, said so, and tried another.
        writers = [await callers.get(), await callers.get()]
        assert "No notifications from the database" in caplog.text
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
    for writer in writers:
        writer.close()
    silent.close()


async def test_only_who_listens_has_the_time_limit(database: Database, driver: str) -> None:
    engine, seen = engine_of(database, driver), list[dict[str, object]]()
    # Whoever listens to an engine last is told last.
    listens = listener_engine(engine, None)
    event.listen(engine, "do_connect", lambda _dialect, _record, _args, options: seen.append(options))
    with engine.connect():
        pass
    Listener(listens).close()
    assert [options.get("connect_timeout") for options in seen] == [None, listener.CONNECT_TIMEOUT]
    own = listener_engine(engine, database.url.replace("postgresql+psycopg2", driver) + "?connect_timeout=33")
    event.listen(own, "do_connect", lambda _dialect, _record, _args, options: seen.append(options))
    Listener(own).close()
    assert seen[-1]["connect_timeout"] == "33"
    engine.dispose()


@needs_pgbouncer
async def test_prepared_statements_do_not_survive_a_pooler_in_transaction_mode_and_that_is_said(
    database: Database,
) -> None:
    """As of psycopg 3: it prepares what was asked a few times."""

    def ask(engine: Engine) -> None:
        with engine.connect() as one, engine.connect() as other:
            # Both come to the same connections of the server.
            for _ in range(20):
                for each in (one, other):
                    each.execute(text("SELECT 1"))
                    each.commit()

    with PgBouncer(database, "transaction") as pooler:
        engine = engine_of(pooler.database, "postgresql+psycopg")
        with pytest.raises(DBAPIError) as caught:
            ask(engine)
        assert "prepare_threshold None" in in_words(caught.value)
        engine.dispose()
        ask(without := create_engine(engine.url, connect_args={"prepare_threshold": None}))
        without.dispose()


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
