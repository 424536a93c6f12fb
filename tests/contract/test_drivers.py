"""What each driver raises means the same to us: to be done again, an outage, tables that are not there, a mistake."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.store.schema import CHECK_ADDRESS, MIGRATE, Schema, in_words, look
from airflow_edge.store.store import Store
from airflow_edge.store.tables import JobRow, WorkerRow
from airflow_edge.store.transactions import Transactions, is_conflict
from harness.ports import free_port
from tests.contract.world import enrolled, new_job, queue, row

Sessions = sessionmaker[Session]


@pytest.fixture
def engine(sessions: Sessions) -> Engine:
    found: Engine = sessions.kw["bind"]
    return found


@pytest.fixture
def served(engine: Engine) -> Engine:
    """An engine whose database is a server's."""
    if engine.dialect.name == "sqlite":
        pytest.skip("there is no server")
    return engine


def raised(engine: Engine, statement: str) -> DBAPIError:
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text(statement))
    return caught.value


@pytest.mark.usefixtures("served")
def test_what_was_chosen_as_the_victim_of_a_deadlock_is_done_again(store: Store, sessions: Sessions) -> None:
    ids = [enrolled(store).id, enrolled(store).id]
    both_have_one = threading.Barrier(2)
    tries: list[UUID] = []

    def lock_both(first: UUID, second: UUID) -> None:
        def work(session: Session) -> None:
            tries.append(first)
            session.scalar(select(WorkerRow).where(WorkerRow.id == first).with_for_update())
            if len(tries) <= 2:
                both_have_one.wait(30)
            session.scalar(select(WorkerRow).where(WorkerRow.id == second).with_for_update())

        Transactions(sessions).write(work)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(lock_both, *ids), pool.submit(lock_both, *reversed(ids))]:
            done.result(60)
    # It may be chosen again before the other one has got what it waited for.
    assert len(tries) >= 3


def test_a_lock_that_was_not_had_in_time_is_asked_for_again(store: Store, sessions: Sessions, served: Engine) -> None:
    if served.dialect.name != "mysql":
        pytest.skip("PostgreSQL waits for as long as it takes")
    worker = enrolled(store).id
    with sessions() as holder:
        holder.scalar(select(WorkerRow).where(WorkerRow.id == worker).with_for_update())
        with sessions() as other:
            other.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
            with pytest.raises(DBAPIError) as caught:
                other.scalar(select(WorkerRow).where(WorkerRow.id == worker).with_for_update())
            other.connection().invalidate()
    assert is_conflict(caught.value)


async def test_a_connection_that_the_server_ends_is_an_outage_and_the_next_call_finds_another(
    store: Store, sessions: Sessions, served: Engine
) -> None:
    of_mysql = served.dialect.name == "mysql"
    own, end = ("connection_id", "KILL {}") if of_mysql else ("pg_backend_pid", "SELECT pg_terminate_backend({})")
    calls = StoreCalls(1)

    def ended_meanwhile() -> None:
        with sessions() as session:
            number = session.scalar(text(f"SELECT {own}()"))
            with served.connect() as other:
                other.execute(text(end.format(number)))
            session.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailableError) as caught:
        await calls.run(ended_meanwhile)
    assert isinstance(caught.value.__cause__, DBAPIError)
    assert CHECK_ADDRESS in in_words(caught.value.__cause__)
    assert await calls.run(store.workers.all) == []
    await asyncio.to_thread(calls.close)


def test_nobody_where_the_database_should_be_is_said(served: Engine) -> None:
    url = make_url(served.url).set(host="127.0.0.1", port=free_port(), query={})
    nobody = create_engine(url)
    with pytest.raises(DBAPIError) as caught, nobody.connect():
        pass
    assert in_words(caught.value).startswith("the database cannot be reached")
    nobody.dispose()


def test_no_such_database_is_said(served: Engine) -> None:
    nobody = create_engine(served.url.set(database="no-such-database"))
    with pytest.raises(DBAPIError) as caught, nobody.connect():
        pass
    assert in_words(caught.value).startswith("the database cannot be reached")
    nobody.dispose()


@pytest.mark.parametrize("statement", ["SELECT 1 FROM airflow_edge_none", "SELECT none FROM airflow_edge_worker"])
def test_tables_and_columns_that_are_not_there_are_known(engine: Engine, statement: str) -> None:
    error = raised(engine, statement)
    assert MIGRATE in in_words(error)
    assert not is_conflict(error)


def test_the_schema_is_known(engine: Engine) -> None:
    with engine.connect() as connection:
        assert look(connection) is Schema.CURRENT


def test_what_is_there_twice_is_nobodys_outage(sessions: Sessions) -> None:
    queue(sessions, job := new_job())
    with pytest.raises(IntegrityError) as caught:
        queue(sessions, new_job(id=job.id))
    assert not is_conflict(caught.value)
    assert in_words(caught.value).startswith("the database did not do")


def test_a_transaction_sees_what_others_have_committed_meanwhile(sessions: Sessions) -> None:
    """As Airflow has it on every database but SQLite; MySQL alone would go on with what it saw first."""
    with sessions() as session:
        if session.connection().dialect.name == "sqlite":
            pytest.skip("there nobody writes meanwhile")
        assert session.scalars(select(JobRow.id)).all() == []
        queue(sessions, job := new_job())
        assert session.scalars(select(JobRow.id)).all() == [job.id]


@pytest.mark.parametrize("value", ["a\N{PILE OF POO}b", "\\ ' \" % _ %s :x ?", "line\u2028break\r\n", "x" * 70_000])
def test_texts_come_back_as_they_were(sessions: Sessions, value: str) -> None:
    queue(sessions, job := new_job(workload=value, log_path=value))
    back = row(sessions, job.id)
    assert (back.workload, back.log_path) == (value, value)
