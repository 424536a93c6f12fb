"""Task logs, in pieces as they arrive and whole as they are read."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from airflow_edge.protocol.logs import logdata
from airflow_edge.protocol.messages import LogChunk, LogEnd
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.logs.log_notices import LogPart
from airflow_edge.store.columns import to_value
from airflow_edge.store.logs.objects import LogStoreError, ObjectStore
from airflow_edge.store.logs.rows import Row, add_frame, add_row, read_rows, shorten, unpack
from airflow_edge.store.tables import JobRow, LogRow, WorkerRow
from airflow_edge.store.transactions import StorePart, reading

MERGE_AT = 256
"""Rows of a growing log after which some are merged: whoever follows it reads all of them again and again."""
RECHECK = timedelta(hours=1)
"""How often a log that is not complete is looked after."""
NOTHING = hashlib.sha256().hexdigest()
SHORT = 512 * 1024
"""Bytes of a log that is checked at once, while it is locked; a longer one is read without a lock."""


class LogUnreadableError(Exception):
    """Bytes of a log are not where they should be, or cannot be read there; says where, and what to do."""


@dataclass(frozen=True, slots=True)
class LogProgress:
    """How far a log is."""

    offset: int
    """Bytes received without a gap."""
    complete: bool
    """All of it is there and verified."""


class _State(NamedTuple):
    """Which bytes of which log were read."""

    log_id: UUID
    revision: int
    size: int


class _Found(NamedTuple):
    """The bytes from a position on; none if they are not there, which can only be for a moment."""

    revision: int
    pieces: Iterator[bytes]


class TaskLogs(StorePart):
    """Task logs."""

    def append(self, worker_id: UUID, chunk: LogChunk, *, now: datetime, most: int = sys.maxsize) -> LogProgress | None:
        """Keep what is new of a piece that leaves no gap; any other is ignored. Say how far the log is.

        A worker that was restarted begins anew, and its pieces end elsewhere. A log that would be longer than `most`
        bytes ends there, with a line that says so: it is complete, and the worker sends no more of it.

        None if this worker never had the job under this assignment, or if the log is forgotten or was deleted.
        """
        plain = logdata.unpack(chunk)

        def work(session: Session) -> LogProgress | None:
            log = _log(session, worker_id, UUID(chunk.job_id), chunk.assignment, now)
            if log is None:
                return None
            new = plain[log.size - chunk.offset :] if chunk.offset <= log.size else b""
            if new and not log.complete:
                too_long = log.size + len(new) > most
                if too_long:
                    new = new[: max(0, most - log.size)] + _cut_here(most, now)
                if not too_long and len(new) == chunk.size and chunk.dictionary == logdata.NO_DICTIONARY:
                    add_frame(session, log.id, Row(log.size, chunk.size, chunk.data))
                else:
                    add_row(session, log.id, log.size, new)
                log.size += len(new)
                log.loose += 1
                log.changed_at = now
                log.given_up_at = None
                if log.loose == MERGE_AT:
                    log.tidy_at = now
                elif log.tidy_at is None:
                    log.tidy_at = now + RECHECK
                if too_long:
                    # What the site has cannot be compared with it: nothing is, from the end on.
                    _complete(session, log, NOTHING, log.size, now)
            return LogProgress(log.size, log.complete)

        return self._transactions.write(work)

    def finish(self, worker_id: UUID, end: LogEnd, *, now: datetime) -> LogProgress | None:
        """Check a log against its length and SHA-256, and note that it is complete. Say how far the log is.

        One that is too short goes on from there. One that differs begins anew, where the checked part begins. None as
        in `append`. A long log is read without holding any lock.
        """
        digests: dict[_State, str] = {}

        def work(session: Session) -> LogProgress | _State | None:
            log = _log(session, worker_id, UUID(end.job_id), end.assignment, now)
            if log is None:
                return None
            if not log.complete:
                log.expected_size = end.size
            if log.complete or log.size < end.size:
                return LogProgress(log.size, log.complete)
            state = _State(log.id, log.revision, log.size)
            begin = min(end.start, end.size)
            if log.size > end.size:
                found = ""
            elif state in digests:
                found = digests[state]
            elif log.size - begin <= SHORT and not log.object_size:
                found = _sha256(_read(lambda position: _look(session, log.id, position), begin))
            else:
                return state
            if found == end.sha256:
                _complete(session, log, end.sha256, begin, now)
            else:
                shorten(session, log, begin)
            return LogProgress(log.size, log.complete)

        while isinstance(answer := self._transactions.write(work), _State):
            # Whatever is laid elsewhere, or begun anew, meanwhile: then it is read again.
            digests[answer] = _sha256(self.read(answer.log_id, min(end.start, end.size)))
        return answer

    @reading
    def parts(self, session: Session, path: str) -> list[LogPart]:
        """Say what there is of the log with this relative path, oldest first."""
        query = (
            select(LogRow, WorkerRow, JobRow.state)
            .outerjoin(WorkerRow, WorkerRow.id == LogRow.worker_id)
            .outerjoin(JobRow, and_(JobRow.id == LogRow.job_id, JobRow.assignment == LogRow.assignment))
            .where(LogRow.path_hash == _path_hash(path))
            .order_by(LogRow.created_at, LogRow.id)
        )
        return [_part(*row) for row in session.execute(query)]

    def read(self, part_id: UUID, offset: int = 0) -> Iterator[bytes]:
        """Give the bytes of one part from this offset on, piece by piece. No transaction stays open between two pieces.

        :raises LogUnreadableError: some of them are not where they should be.
        """
        return _read(partial(self._look, part_id), offset)

    @reading
    def _look(self, session: Session, part_id: UUID, position: int) -> _Found | None:
        return _look(session, part_id, position)


def _look(session: Session, log_id: UUID, position: int) -> _Found | None:
    """Find the bytes from this position on; None at the end, and for a log that was deleted."""
    query = select(
        LogRow.size, LogRow.revision, LogRow.purged_at, LogRow.store_url, LogRow.object_key, LogRow.object_size
    ).where(LogRow.id == log_id)
    log = session.execute(query).one_or_none()
    if log is None or log.purged_at is not None or position >= log.size:
        return None
    if position < log.object_size:
        return _Found(log.revision, ObjectStore(log.store_url).read(log.object_key, position, log.object_size))
    return _Found(log.revision, unpack(read_rows(session, log_id, position), position))


def _read(find: Callable[[int], _Found | None], position: int) -> Iterator[bytes]:
    """Give the bytes from this position on, piece by piece.

    What is not there may have been laid elsewhere since somebody looked: then the revision is another.

    :param find: `_look`, for one log
    :raises LogUnreadableError: some of them are missing, or cannot be read where they are.
    """
    revision: int | None = None
    while (found := find(position)) is not None:
        begin, problem = position, None
        try:
            for piece in found.pieces:
                yield piece
                position += len(piece)
        except LogStoreError as error:
            problem = error
        if position > begin:
            revision = None
        elif revision == found.revision:
            raise LogUnreadableError(problem or f"the database has lost the log's bytes from {position} on")
        else:
            revision = found.revision


def _log(session: Session, worker_id: UUID, job_id: UUID, assignment: int, now: datetime) -> LogRow | None:
    """Give the log of an assignment, locked; the first time it is made, under the path that the job was queued with."""
    this = (LogRow.job_id == job_id, LogRow.assignment == assignment, LogRow.worker_id == worker_id)
    log = session.scalar(select(LogRow).where(*this).with_for_update())
    if log is not None:
        return None if log.purged_at else log
    path = session.scalar(
        select(JobRow.log_path).where(
            JobRow.id == job_id, JobRow.assignment == assignment, JobRow.worker_id == worker_id
        )
    )
    if path is None:
        return None
    log = LogRow(
        id=uuid4(),
        path_hash=_path_hash(path),
        path=path,
        job_id=job_id,
        assignment=assignment,
        worker_id=worker_id,
        created_at=now,
        changed_at=now,
        tidy_at=now + RECHECK,
    )
    session.add(log)
    session.flush()
    return log


def _cut_here(most: int, now: datetime) -> bytes:
    """Give the line with which a log ends that is too long, in the form of Airflow's task logs."""
    line = {
        "timestamp": now.isoformat(),
        "level": "warning",
        "event": f"The log is cut here: it is longer than {most / 1024**2:g} MiB ([edge] log_max_size at the centre)",
        "logger": "airflow_edge",
    }
    return b"\n" + msgspec.json.encode(line) + b"\n"


def _complete(session: Session, log: LogRow, sha256: str, begin: int, now: datetime) -> None:
    """Note that the log, which is locked, is complete.

    :param sha256: of its bytes from `begin` on
    """
    log.sha256 = sha256
    log.sha256_from = begin
    log.complete = True
    log.tidy_at = now
    session.execute(
        update(JobRow).where(JobRow.id == log.job_id, JobRow.assignment == log.assignment).values(log_complete=True)
    )


def _part(log: LogRow, worker: WorkerRow | None, job_state: JobState | None) -> LogPart:
    return to_value(
        LogPart,
        log,
        worker_name=str(log.worker_id) if worker is None else worker.name,
        worker_state=None if worker is None else worker.state,
        last_seen_at=None if worker is None else worker.last_seen_at,
        revoked=worker is not None and worker.revoked_at is not None,
        job_state=job_state,
    )


def _sha256(plain: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in plain:
        digest.update(piece)
    return digest.hexdigest()


def _path_hash(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()
