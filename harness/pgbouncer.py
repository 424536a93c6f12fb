"""A real PgBouncer as a child process, in front of a PostgreSQL of the harness."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

from sqlalchemy.engine import make_url

from harness.database import Database, unprivileged_user
from harness.ports import free_port
from harness.processes import Process
from harness.waiting import wait_for

HOW_TO_INSTALL: Final = (
    "pgbouncer is not installed; the tests behind a connection pooler need it (Debian, Ubuntu: "
    "apt-get install pgbouncer)"
)

# As Airflow's official chart has it, but for the users.
_CONFIG: Final = """\
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
pool_mode = {mode}
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
ignore_startup_parameters = extra_float_digits
max_client_conn = 100
default_pool_size = 10
"""


def find_pgbouncer() -> str | None:
    """Give the program's path, also where it is not on a user's PATH."""
    return shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))


class PgBouncer:
    """PgBouncer in front of a database, from `with` on until its end."""

    def __init__(self, database: Database, mode: str) -> None:
        """Set it up; `find_pgbouncer` has to have found one.

        :param mode: transaction, session or statement
        """
        self._behind = make_url(database.url)
        self._mode = mode
        self._port = free_port()
        # Not below a caller's folder: it refuses to run as root, and its stand-in user must get there.
        self._folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self._process: Process | None = None

    @property
    def database(self) -> Database:
        """The database as it is reached through it."""
        return Database(self._behind.set(port=self._port).render_as_string(hide_password=False))

    def __enter__(self) -> PgBouncer:
        program = find_pgbouncer()
        assert program is not None, HOW_TO_INSTALL
        self._folder.chmod(0o755)
        config = self._folder / "pgbouncer.ini"
        config.write_text(_CONFIG.format(server=self._behind.port, port=self._port, mode=self._mode))
        self._process = Process(
            "pgbouncer",
            [program, config],
            env={"PATH": os.defpath},
            cwd=self._folder,
            log=self._folder / "pgbouncer.log",
            user=unprivileged_user(),
        )
        wait_for(self._listens, "pgbouncer to listen", timeout=20.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _listens(self) -> bool:
        assert self._process is not None
        self._process.check()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
