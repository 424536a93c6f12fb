"""Every store of the suite: an empty one on each kind of database, with a deployment's own session settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, MetaData, String, Table, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.schema import CreateSchema

from airflow_edge.store.airflow_tables import TASK_INSTANCE
from airflow_edge.store.store import Store
from airflow_edge.store.tables import Base
from harness.database import PostgresServer, SqliteFiles
from harness.mariadb import HOW_TO_INSTALL, MariaDbServer, as_mysql, find_mariadbd
from tests.contract.log_world import BUCKET, PLACES, Place
from tests.s3 import s3, s3_server  # noqa: F401 - fixtures

KINDS = ("sqlite", "postgresql", "mysql")
DRIVERS = ("postgresql+psycopg",)
"""Drivers that Airflow knows besides the one that all tests have."""
WHERE_DRIVERS_DIFFER = frozenset(
    {"test_calls", "test_drivers", "test_jobs", "test_nonces", "test_overview", "test_workers"}
)
"""Modules whose tests run with these, too: errors that mean something, arrays, JSON, many values, times, bytes."""

Server = SqliteFiles | PostgresServer | MariaDbServer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        kinds = (*KINDS, *DRIVERS) if module in WHERE_DRIVERS_DIFFER else KINDS
        metafunc.parametrize("database_kind", kinds, scope="package")


@pytest.fixture(scope="package")
def server_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Start, once, the server of a kind of database."""
    with ExitStack() as stack:

        def start(kind: str) -> Server:
            match kind:
                case "sqlite":
                    return SqliteFiles(tmp_path_factory.mktemp("contract"))
                case "postgresql":
                    return stack.enter_context(PostgresServer().running())
            if find_mariadbd() is None:
                pytest.skip(HOW_TO_INSTALL)
            return stack.enter_context(MariaDbServer().running())

        yield cache(start)


@pytest.fixture(scope="package")
def engine_of(server_of: Callable[[str], Server]) -> Iterator[Callable[[str], Engine]]:
    """Make, once, the engine of a kind of database, with or without a driver, that has the tables."""
    with ExitStack() as stack:

        def make(kind: str) -> Engine:
            engine = _engine(kind, server_of)
            stack.callback(engine.dispose)
            return engine

        yield cache(make)


def _engine(kind: str, server_of: Callable[[str], Server]) -> Engine:
    """Make an engine as Airflow makes its own."""
    backend, _, driver = kind.partition("+")
    url = make_url(server_of(backend).create(f"contract{len(driver)}").url)
    options = {"isolation_level": "READ COMMITTED"} if backend == "mysql" else {}
    engine = create_engine(url.set(drivername=kind) if driver else url, pool_size=20, **options)
    if backend == "sqlite":

        @event.listens_for(engine, "connect")
        def _as_airflow_does(connection, _record):
            connection.execute("PRAGMA journal_mode=WAL")

    if Base.metadata.schema:
        with engine.begin() as connection:
            connection.execute(CreateSchema(Base.metadata.schema))
    if backend == "mysql":
        as_mysql(engine)
    Base.metadata.create_all(engine)
    # Airflow's own, as far as the store asks it, and as before 3.4.
    columns = [
        Column(one.name, String(250) if isinstance(one.type, String) else one.type)
        for one in TASK_INSTANCE.columns
        if one.name != "working_set"
    ]
    Table(TASK_INSTANCE.name, MetaData(), *columns, schema=Base.metadata.schema).create(engine)
    return engine


@pytest.fixture
def sessions(database_kind: str, engine_of: Callable[[str], Engine]) -> Iterator[sessionmaker[Session]]:
    """Sessions, as Airflow makes them, on empty tables."""
    with empty_again(engine_of(database_kind)) as sessions:
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
