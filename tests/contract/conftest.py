"""Every store of the suite: an empty one on each kind of database, with a deployment's own session settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, MetaData, Table, create_engine, event
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.schema import CreateSchema

from airflow_edge.store.airflow_tables import TASK_INSTANCE
from airflow_edge.store.store import Store
from airflow_edge.store.tables import Base
from harness.database import PostgresServer, SqliteFiles
from tests.contract.log_world import BUCKET, PLACES, Place
from tests.s3 import s3, s3_server  # noqa: F401 - fixtures


@pytest.fixture(scope="package")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Engine]]:
    """Make, once, the engine of a kind of database that has the tables."""
    engines: dict[str, Engine] = {}
    with ExitStack() as stack:

        def make(kind: str) -> Engine:
            if kind not in engines:
                engines[kind] = _engine(kind, tmp_path_factory.mktemp("contract"), stack)
            return engines[kind]

        yield make


def _engine(kind: str, folder: Path, stack: ExitStack) -> Engine:
    if kind == "sqlite":
        database = SqliteFiles(folder).create("contract")
    else:
        database = stack.enter_context(PostgresServer().running()).create("contract")
    engine = create_engine(database.url, pool_size=20)
    if kind == "sqlite":

        @event.listens_for(engine, "connect")
        def _as_airflow_does(connection, _record):
            connection.execute("PRAGMA journal_mode=WAL")

    stack.callback(engine.dispose)
    if Base.metadata.schema:
        with engine.begin() as connection:
            connection.execute(CreateSchema(Base.metadata.schema))
    Base.metadata.create_all(engine)
    # Airflow's own, as far as the store asks it, and as before 3.4.
    columns = [Column(one.name, one.type) for one in TASK_INSTANCE.columns if one.name != "working_set"]
    Table(TASK_INSTANCE.name, MetaData(), *columns, schema=Base.metadata.schema).create(engine)
    return engine


@pytest.fixture(params=["sqlite", "postgresql"])
def sessions(request: pytest.FixtureRequest, engine_of: Callable[[str], Engine]) -> Iterator[sessionmaker[Session]]:
    """Sessions, as Airflow makes them, on empty tables."""
    with empty_again(engine_of(request.param)) as sessions:
        yield sessions


@contextmanager
def empty_again(engine: Engine) -> Iterator[sessionmaker[Session]]:
    """Sessions on this engine; its tables are empty afterwards."""
    yield sessionmaker(engine, autoflush=False, expire_on_commit=False)
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            connection.execute(table.delete())


@pytest.fixture(params=PLACES)
def log_place(request: pytest.FixtureRequest, engine_of: Callable[[str], Engine], tmp_path: Path) -> Iterator[Place]:
    """A place for logs, empty."""
    database, _, kind = request.param.partition("+")
    url = {"": None, "folder": f"file://{tmp_path}/logs", "s3": BUCKET}[kind]
    if kind == "s3":
        request.getfixturevalue("s3")
    with empty_again(engine_of(database)) as sessions:
        yield Place(sessions, url)


@pytest.fixture
def store(sessions: sessionmaker[Session]) -> Store:
    return Store(sessions)
