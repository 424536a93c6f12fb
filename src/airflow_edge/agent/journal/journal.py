"""The worker's memory, in SQLite: a row for each assignment it has taken, written before anything is done about it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from airflow_edge.agent.core.events import DesiredState, JobRecord
from airflow_edge.agent.errors import AgentError, unusable
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.site.files import DamagedError, decode, is_something_else, make_way, move_aside

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
_BOOT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ALL = "SELECT job_id, assignment, record FROM job ORDER BY rowid"
_INSERT = "INSERT OR REPLACE INTO job (job_id, assignment, finished, record) VALUES (?, ?, ?, ?)"
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


class Journal:
    """Not for several threads at once, but each call may come from another one."""

    def __init__(self, path: Path, *, kept: int = KEPT) -> None:
        """Open the journal, or begin one. One that is damaged is moved aside, and what can be read of it is kept.

        :raises AgentError: it cannot be opened now: it is another user's, say, or its disk is full.
        """
        self.damaged = False
        self.owed: list[JobRecord] = []
        """What could not be written when the journal was begun anew."""
        self._kept = kept
        self._finished = 0
        self._in_use = threading.Lock()
        self._new_boot: str | None = None
        """The boot that is to be noted with the next that is written; None if it has been."""
        self._reserve = path.with_name("reserve")
        salvaged = Salvaged([], None, None)
        try:
            for part in (path, *_beside(path)):
                if is_something_else(part):
                    raise DamagedError(f"{part} is no file")
            self._database, self.unfinished = self._open(path)
            """The jobs that were not finished when the journal was opened."""
        except Exception as error:
            if _is_passing(error):
                raise _cannot_open(path, error) from error
            salvaged = salvage(path)
            aside = _move_aside(path)
            log.error(
                "the journal %s cannot be read (%s); it was moved to %s; %d of its records could be read, and the "
                "other jobs are recovered from their folders",
                path,
                error,
                aside,
                len(salvaged.records),
            )
            self.damaged = True
            try:
                self._database, _ = self._open(path)
            except (sqlite3.Error, OSError) as again:
                raise _cannot_open(path, again) from again
            self.unfinished = [record for record in salvaged.records if not record.finished]
            self._new_boot = salvaged.boot
            with contextlib.suppress(sqlite3.Error):
                self.write_with_reserve(salvaged.records, salvaged.desired)

    def find(self, key: AssignmentKey) -> JobRecord | None:
        """Give what is known about an assignment."""
        with self._in_use:
            row = self._database.execute(
                "SELECT record FROM job WHERE job_id = ? AND assignment = ?", (key.job_id, key.assignment)
            ).fetchone()
        return None if row is None else _record(key.job_id, key.assignment, row[0])

    def boot_id(self) -> str | None:
        """Give the machine's boot that the journal was last used in; None if that is not known."""
        row = self._database.execute("SELECT id FROM boot").fetchone()
        return None if row is None else _boot(row[0])

    def note_boot(self, boot_id: str | None, records: Iterable[JobRecord] = ()) -> None:
        """Note the boot in which the journal is used from now on, with the jobs as they are in it.

        Raises what `write` raises; then the boot is noted with whatever is written next.
        """
        if boot_id != self.boot_id():
            self._new_boot = boot_id or "unknown"
        self.write_with_reserve(records)

    def desired(self) -> DesiredState:
        """Give what people have made of the worker."""
        row = self._database.execute("SELECT value FROM standing").fetchone()
        return DesiredState() if row is None else decode(row[0], DesiredState)

    def write(self, records: Iterable[JobRecord], desired: DesiredState | None = None) -> None:
        """Write records durably, and what people have made of the worker if that has changed: all or nothing.

        :raises sqlite3.Error: the disk is full or damaged.
        """
        rows = [
            (record.key.job_id, record.key.assignment, record.finished, msgspec.json.encode(record).decode())
            for record in records
        ]
        with self._transaction():
            self._database.executemany(_INSERT, rows)
            if desired is not None:
                self._database.execute("DELETE FROM standing")
                self._database.execute(
                    "INSERT INTO standing (value) VALUES (?)", (msgspec.json.encode(desired).decode(),)
                )
            if self._new_boot is not None:
                self._database.execute("DELETE FROM boot")
                self._database.execute("INSERT INTO boot (id) VALUES (?)", (self._new_boot,))
            self._finished += sum(finished for _, _, finished, _ in rows)
            if self._finished >= _PRUNE_EVERY:
                self._prune()
        self._new_boot = None

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
        make_way(self._reserve)
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
            if not _is_full(error) or not self.spend_reserve():
                raise
            opened = _open(path)
        with contextlib.suppress(OSError):
            self._make_reserve()
        return opened

    def close(self) -> None:
        """Close the file, unless a thread is still at it, which nobody waits for at the agent's end."""
        # Under a statement that runs in another thread SQLite would crash.
        if self._in_use.acquire(blocking=False):
            try:
                self._database.close()
            finally:
                self._in_use.release()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._in_use, _transaction(self._database):
            yield

    def _prune(self) -> None:
        # A replaced row gets a new rowid, so that the order of rowids is that of the last changes.
        self._database.execute(
            "DELETE FROM job WHERE finished AND rowid <= "
            "(SELECT rowid FROM job WHERE finished ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
            (self._kept,),
        )
        self._finished = 0


def unfinished_jobs(path: Path) -> tuple[int, int]:
    """Say how many jobs have not ended, and how many have whose outcome or log is not at the centre completely.

    :param path: a journal that may be another process's
    :raises AgentError: it cannot be read, so that nobody knows.
    """
    try:
        database, unfinished = _open(path)
    except (sqlite3.Error, OSError, DamagedError) as error:
        raise AgentError(f"whether tasks are left is not known: {path} cannot be read ({error})") from error
    database.close()
    live = sum(record.ended is None for record in unfinished)
    return live, len(unfinished) - live


class Salvaged(NamedTuple):
    """What could be read of a damaged journal."""

    records: list[JobRecord]
    desired: DesiredState | None
    boot: str | None


def salvage(path: Path) -> Salvaged:
    """Read what can be read of a damaged journal. A record counts if it is one, and of the job that it stands for."""
    records: dict[AssignmentKey, JobRecord] = {}
    # From both ends: what is behind a damaged page is read from the other side.
    for query in (_ALL, f"{_ALL} DESC"):
        for job_id, assignment, text in _rows(path, query):
            with contextlib.suppress(DamagedError, UnicodeDecodeError, AttributeError):
                record = _record(job_id.decode(), assignment, text)
                records.setdefault(record.key, record)
    desired, boot = None, None
    for (text,) in _rows(path, "SELECT value FROM standing"):
        with contextlib.suppress(DamagedError):
            desired = decode(text, DesiredState)
    for (text,) in _rows(path, "SELECT id FROM boot"):
        boot = _boot(text)
    return Salvaged(list(records.values()), desired, boot)


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Give the rows that can be read."""
    found: list[tuple[Any, ...]] = []
    with contextlib.suppress(sqlite3.Error, OSError), contextlib.closing(sqlite3.connect(path)) as database:
        # What is no text any more costs its own row only.
        database.text_factory = bytes
        for row in database.execute(query):
            found.append(row)
    return found


def _boot(value: object) -> str | None:
    """Give what names a boot; None for what does not, upon which nothing is taken for gone."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return text if isinstance(text, str) and _BOOT.fullmatch(text) else None


def _record(job_id: str, assignment: int, text: bytes | str) -> JobRecord:
    """:raises DamagedError: it is no record of this assignment."""
    record = decode(text, JobRecord)
    if record.key != (job_id, assignment):
        raise DamagedError(f"the record of job {job_id}.{assignment} is one of {record.key}")
    return record


def _open(path: Path) -> tuple[sqlite3.Connection, list[JobRecord]]:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # FULL: what was accepted must survive a power cut, or a restarted site would not know what it had.
        database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")
        database.executescript(_SCHEMA)
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise DamagedError(found)
        # Another version may have made the tables.
        with contextlib.suppress(_Undone), _transaction(database):
            database.execute(_INSERT, ("", 0, True, ""))
            database.execute("INSERT INTO standing (value) VALUES ('')")
            database.execute("INSERT INTO boot (id) VALUES ('')")
            raise _Undone
        for (value,) in database.execute("SELECT value FROM standing"):
            decode(value, DesiredState)
        database.execute("SELECT id FROM boot").fetchall()
        rows = database.execute("SELECT job_id, assignment, record FROM job WHERE NOT finished ORDER BY rowid")
        return database, [_record(*row) for row in rows]
    except BaseException:
        database.close()
        raise


class _Undone(Exception):  # noqa: N818 - it is none
    """Ends a transaction that was to be tried out only."""


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # Some errors have undone it already; where one is left open, the next could not begin.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _code(error: Exception) -> int:
    # The lower byte is the kind, what is above it the details.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF


def _is_passing(error: Exception) -> bool:
    return isinstance(error, OSError | MemoryError) or _code(error) in _PASSING


def _is_full(error: Exception) -> bool:
    return _code(error) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def _cannot_open(path: Path, error: Exception) -> AgentError:
    """Say why, as the operating system says it where SQLite does not."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        # For its log.
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as reason:
        return unusable(path, reason)
    if _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return AgentError(f"{path} is locked by another process, a backup perhaps; wait for its end")
    return AgentError(f"{path} cannot be opened now ({error}); see to the disk of {path.parent}, and make room there")


def _beside(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm")]


def _move_aside(path: Path) -> Path:
    aside = move_aside(path)
    for part, target in zip(_beside(path), _beside(aside), strict=True):
        with contextlib.suppress(FileNotFoundError):
            part.rename(target)
    return aside
