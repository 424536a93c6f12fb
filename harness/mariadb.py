"""A real MariaDB as a child process, set up as Airflow wants a MySQL to be."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from harness.database import Database, unprivileged_user
from harness.processes import Process, run

HOW_TO_INSTALL: Final = (
    "mariadbd is not installed, or my_print_defaults, which sets up its folder; the tests with a MySQL need both "
    "(Debian, Ubuntu: apt-get install mariadb-server-core mariadb-client-core)"
)

# What MySQL 8 has by itself and MariaDB has not, and what Airflow's page on databases asks for. Not in UTC: nothing may
# depend on it.
_AS_MYSQL_8: Final = {
    "sql_mode": "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION",
    "explicit_defaults_for_timestamp": "ON",
    "character_set_server": "utf8mb4",
    "collation_server": "utf8mb4_unicode_ci",
    "default_time_zone": "+05:30",
    "max_allowed_packet": "64M",
}
_SMALL: Final = {
    "innodb_log_file_size": "16M",
    "innodb_flush_log_at_trx_commit": "0",
    "innodb_doublewrite": "OFF",
    "innodb_flush_method": "nosync",
    "innodb_buffer_pool_size": "64M",
    "max_connections": "300",
}


def find_mariadbd() -> str | None:
    """Give the program's path, also where it is not on a user's PATH; None if it, or what it needs, is missing."""
    needed = shutil.which("my_print_defaults", path=_search_path())
    return shutil.which("mariadbd", path=_search_path()) if needed else None


class MariaDbServer:
    """A MariaDB on a Unix socket, without passwords, in a temporary folder; `find_mariadbd` has to have found one."""

    def __init__(self) -> None:
        # Not below a caller's folder: it refuses to run as root, and its stand-in user must get there.
        self.folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
        self._user = unprivileged_user()
        self._data = self.folder / "data"
        self.socket = self.folder / "socket"
        self._process: Process | None = None
        self._initialise()

    @contextmanager
    def running(self) -> Iterator[MariaDbServer]:
        """The server, started, and for good gone afterwards."""
        self.start()
        try:
            yield self
        finally:
            self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = find_mariadbd()
        assert program is not None, HOW_TO_INSTALL
        options = _AS_MYSQL_8 | _SMALL | {"datadir": str(self._data), "socket": str(self.socket)}
        command = [
            program,
            "--no-defaults",
            "--skip-networking",
            *(f"--{key.replace('_', '-')}={value}" for key, value in options.items()),
        ]
        self._process = Process(
            "mariadbd",
            command,
            env=_environment(),
            cwd=self.folder,
            log=self.folder / "mariadb.log",
            user=self._user,
        )
        self._process.wait_ready(self._answers, timeout=30)

    def stop(self, *, crash: bool = False) -> None:
        """Stop the server in order, or with `crash` just kill it."""
        if self._process is not None:
            if crash:
                self._process.kill()
            else:
                self._process.stop()
            self._process = None

    def create(self, name: str) -> Database:
        """A new database, empty."""
        self._execute(f"CREATE DATABASE `{name}`")
        return Database(self._url(name))

    def _url(self, name: str) -> str:
        return f"mysql+pymysql://root@localhost/{name}?unix_socket={self.socket}&charset=utf8mb4"

    def _execute(self, sql: str) -> None:
        with create_engine(self._url(""), poolclass=NullPool).begin() as connection:
            connection.execute(text(sql))

    def _answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self.folder.chmod(0o755)
        run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={self._data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ],
            env=_environment(),
            cwd=self.folder,
            user=self._user,
        )


def as_mysql(engine: Engine) -> None:
    """Have an engine do what it does with a MySQL where MariaDB has more: MySQL has no type for UUIDs."""
    with engine.connect():
        engine.dialect.supports_native_uuid = False


def _search_path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def _environment() -> dict[str, str]:
    return {"PATH": _search_path(), "LANG": "C.UTF-8", "TZ": "UTC"}
