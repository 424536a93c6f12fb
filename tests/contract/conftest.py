"""Every store of the suite: an empty one on each kind of database, with a deployment's own session settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.store.sql import SqlStore
from airflow_edge.store.tables import Base
from harness.database import PostgresServer, SqliteFiles
from tests.contract.log_world import BUCKET, PLACES, Place


@pytest.fixture(scope="session")
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
    Base.metadata.create_all(engine)
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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 of this process's own, empty."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3FileSystem]:
    """That S3, with a bucket `logs`, found and opened by what is in the environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    filesystem = S3FileSystem()
    filesystem.mkdir("logs")
    yield filesystem
    filesystem.invalidate_cache()
    filesystem.rm("logs", recursive=True)


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
def store(sessions: sessionmaker[Session]) -> SqlStore:
    return SqlStore(sessions)
