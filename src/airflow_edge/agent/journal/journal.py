"""The worker's memory, in SQLite: a row for each assignment it has taken, written before anything is done about it."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from airflow_edge.agent.core.events import DesiredState, JobRecord
from airflow_edge.agent.errors import AgentError, ConfigError
from airflow_edge.protocol.assignment import AssignmentKey

log = logging.getLogger(__name__)

KEPT = 10_000
"""Finished jobs that are remembered, so that a late offer of one is answered instead of started again."""

RESERVE = 1024 * 1024
"""Bytes of disk that are kept for what has to be noted of running jobs when the disk is full."""

_PRUNE_EVERY = 500
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Errors that say nothing of what is in the journal."""
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS job (
        job_id TEXT NOT NULL,
        assignment INTEGER NOT NULL,
        finished INTEGER NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (job_id, assignment)
    );
    CREATE TABLE IF NOT EXISTS boot (id TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS standing (value TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS job_unfinished ON job (job_id) WHERE NOT finished;
"""
_decode = msgspec.json.Decoder(JobRecord).decode
_decode_desired = msgspec.json.Decoder(DesiredState).decode


class Journal:
    """Not for several threads at once, but each call may come from another one."""

    def __init__(self, path: Path, *, kept: int = KEPT) -> None:
        """Open the journal, or begin one. One that cannot be read is moved aside; `damaged` says so.

        :raises ConfigError: the folder cannot be written to, or its disk is full.
        """
        self.damaged = False
        self._kept = kept
        self._finished = 0
        self._reserve = path.with_name("reserve")
        try:
            self._database, self.unfinished = self._open(path)
            """The jobs that were not finished when the journal was opened."""
        except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
            if _is_passing(error):
                raise ConfigError(
                    f"{path} cannot be opened ({error}); give {path.parent} to this user, or make room on its disk"
                ) from error
            aside = _move_aside(path)
            log.error(
                "the journal %s cannot be read (%s); it was moved to %s, and jobs are recovered from their folders",
                path,
                error,
                aside,
            )
            self.damaged = True
            self._database, self.unfinished = self._open(path)

    def find(self, key: AssignmentKey) -> JobRecord | None:
        """Give what is known about an assignment."""
        row = self._database.execute(
            "SELECT record FROM job WHERE job_id = ? AND assignment = ?", (key.job_id, key.assignment)
        ).fetchone()
        return None if row is None else _decode(row[0])

    def boot_id(self) -> str | None:
        """Give the machine's boot that the journal was last used in; None if that is not known."""
        row = self._database.execute("SELECT id FROM boot WHERE id <> 'unknown'").fetchone()
        return None if row is None else row[0]

    def note_boot(self, boot_id: str | None) -> None:
        """Note the boot in which the journal is used from now on; raises what `write` raises."""
        if boot_id != self.boot_id():
            with self._transaction():
                self._database.execute("DELETE FROM boot")
                self._database.execute("INSERT INTO boot VALUES (?)", (boot_id or "unknown",))

    def desired(self) -> DesiredState:
        """Give what people have made of the worker."""
        row = self._database.execute("SELECT value FROM standing").fetchone()
        return DesiredState() if row is None else _decode_desired(row[0])

    def write(self, records: Iterable[JobRecord], desired: DesiredState | None = None) -> None:
        """Write records durably, and what people have made of the worker if that has changed: all or nothing.

        :raises sqlite3.Error: the disk is full or damaged.
        """
        rows = [
            (record.key.job_id, record.key.assignment, record.finished, msgspec.json.encode(record).decode())
            for record in records
        ]
        with self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?)", rows)
            if desired is not None:
                self._database.execute("DELETE FROM standing")
                self._database.execute("INSERT INTO standing VALUES (?)", (msgspec.json.encode(desired).decode(),))
            self._finished += sum(finished for _, _, finished, _ in rows)
            if self._finished >= _PRUNE_EVERY:
                self._prune()

    def write_with_reserve(self, records: Iterable[JobRecord], desired: DesiredState | None = None) -> None:
        """Write records that have to be written though the disk is full; raises what `write` raises."""
        try:
            self.write(records, desired)
        except sqlite3.Error:
            if not self.spend_reserve():
                raise
            self.write(records, desired)

    def try_out(self) -> None:
        """Write what changes nothing, and see to it that there is a reserve.

        :raises sqlite3.Error: nothing can be written.
        :raises OSError: there is no room for a reserve.
        """
        with self._transaction():
            self._database.execute("PRAGMA user_version = 1")
        self._make_reserve()

    def spend_reserve(self) -> bool:
        """Make room on the disk; False if there is no reserve."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def _make_reserve(self) -> None:
        if not self._reserve.exists():
            try:
                self._reserve.write_bytes(bytes(RESERVE))
            except OSError:
                self.spend_reserve()
                raise

    def _open(self, path: Path) -> tuple[sqlite3.Connection, list[JobRecord]]:
        try:
            opened = _open(path)
        except sqlite3.OperationalError as error:
            if not _is_passing(error) or not self.spend_reserve():
                raise
            opened = _open(path)
        with contextlib.suppress(OSError):
            self._make_reserve()
        return opened

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _prune(self) -> None:
        # A replaced row gets a new rowid, so that the order of rowids is that of the last changes.
        self._database.execute(
            "DELETE FROM job WHERE finished AND rowid <= "
            "(SELECT rowid FROM job WHERE finished ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
            (self._kept,),
        )
        self._finished = 0


def live_jobs(path: Path) -> int:
    """Say how many jobs have not ended, as far as a journal knows that may be another process's.

    :raises AgentError: it cannot be read, so that nobody knows.
    """
    try:
        database, unfinished = _open(path)
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise AgentError(f"whether tasks are left is not known: {path} cannot be read ({error})") from error
    database.close()
    return sum(record.ended is None for record in unfinished)


def _open(path: Path) -> tuple[sqlite3.Connection, list[JobRecord]]:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # FULL: what was accepted must survive a power cut, or a restarted site would not know what it had.
        database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")
        database.executescript(_SCHEMA)
        rows = database.execute("SELECT record FROM job WHERE NOT finished ORDER BY rowid").fetchall()
        return database, [_decode(record) for (record,) in rows]
    except BaseException:
        database.close()
        raise


def _is_passing(error: Exception) -> bool:
    # The lower byte is the kind, what is above it the details.
    return (getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF) in _PASSING


def _move_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
