"""Task logs, in pieces as they arrive and whole as they are read: `dispatch.ports.Logs`."""

from __future__ import annotations

import hashlib
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from airflow_edge.dispatch.model import LogPart, LogProgress
from airflow_edge.protocol.messages import LogChunk, LogEnd
from airflow_edge.store.tables import JobRow, LogChunkRow, LogRow, WorkerRow
from airflow_edge.store.transactions import Transactions

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNKS_AT_ONCE = 16
"""How many chunks are read in one query: at most 4 MiB of plain bytes."""


class LogShelf:
    """Task logs."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def append_log(self, worker_id: UUID, chunk: LogChunk, *, now: datetime) -> LogProgress | None:
        """Keep what is new of a piece that leaves no gap; any other is ignored. Say how far the log is.

        A worker that was restarted begins anew, and its pieces end elsewhere.

        None if this worker never had the job under this assignment, or if it is forgotten.
        """
        plain = _plain(chunk)

        def work(session: Session) -> LogProgress | None:
            log = _log(session, worker_id, UUID(chunk.job_id), chunk.assignment, now)
            if log is None:
                return None
            new = plain[log.size - chunk.offset :] if chunk.offset <= log.size else b""
            if new and not log.complete:
                data = chunk.data if len(new) == chunk.size else zstd.compress(new)
                session.add(
                    LogChunkRow(log_id=log.id, offset=log.size, size=len(new), crc32=zlib.crc32(new), data=data)
                )
                log.size += len(new)
            return LogProgress(log.size, log.complete)

        return self._transactions.write(work)

    def finish_log(self, worker_id: UUID, end: LogEnd, *, now: datetime) -> LogProgress | None:
        """Check a log against its length and SHA-256, and note that it is complete. Say how far the log is.

        One that is too short goes on from there. One that differs begins anew, at 0. None as in `append_log`.
        """

        def work(session: Session) -> LogProgress | None:
            job_id = UUID(end.job_id)
            log = _log(session, worker_id, job_id, end.assignment, now)
            if log is None:
                return None
            if not log.complete and log.size >= end.size:
                if log.size == end.size and _sha256(session, log.id) == end.sha256:
                    log.sha256 = end.sha256
                    log.complete = True
                    session.execute(
                        update(JobRow)
                        .where(JobRow.id == job_id, JobRow.assignment == end.assignment)
                        .values(log_complete=True)
                    )
                else:
                    session.execute(delete(LogChunkRow).where(LogChunkRow.log_id == log.id))
                    log.size = 0
            return LogProgress(log.size, log.complete)

        return self._transactions.write(work)

    def log_parts(self, path: str) -> list[LogPart]:
        """Say what there is of the log with this relative path, oldest first."""
        query = (
            select(LogRow, WorkerRow.name)
            .outerjoin(WorkerRow, WorkerRow.id == LogRow.worker_id)
            .where(LogRow.path_hash == _path_hash(path))
            .order_by(LogRow.created_at, LogRow.id)
        )

        def look(session: Session) -> list[LogPart]:
            return [
                LogPart(id=log.id, worker_name=name or str(log.worker_id), size=log.size, complete=log.complete)
                for log, name in session.execute(query)
            ]

        return self._transactions.read(look)

    def read_log(self, path: str) -> Iterator[bytes]:
        """Give all bytes of the log with this relative path, piece by piece; nothing if there is none."""
        for part in self.log_parts(path):
            yield from self.read_log_part(part.id)

    def read_log_part(self, part_id: UUID) -> Iterator[bytes]:
        """Give all bytes of one part, piece by piece. No transaction stays open between two pieces."""
        offset = 0
        while chunks := self._transactions.read(partial(_chunks, log_id=part_id, offset=offset)):
            for start, data in chunks:
                piece = zstd.decompress(data)
                offset = start + len(piece)
                yield piece


def _log(session: Session, worker_id: UUID, job_id: UUID, assignment: int, now: datetime) -> LogRow | None:
    """Give the log of an assignment, locked; the first time it is made, under the path that the job was queued with."""
    this = (LogRow.job_id == job_id, LogRow.assignment == assignment, LogRow.worker_id == worker_id)
    log = session.scalar(select(LogRow).where(*this).with_for_update())
    if log is not None:
        return log
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
        size=0,
        complete=False,
    )
    session.add(log)
    session.flush()
    return log


def _chunks(session: Session, log_id: UUID, offset: int) -> list[tuple[int, bytes]]:
    query = (
        select(LogChunkRow.offset, LogChunkRow.data)
        .where(LogChunkRow.log_id == log_id, LogChunkRow.offset >= offset)
        .order_by(LogChunkRow.offset)
        .limit(CHUNKS_AT_ONCE)
    )
    return [(row.offset, row.data) for row in session.execute(query)]


def _sha256(session: Session, log_id: UUID) -> str:
    digest = hashlib.sha256()
    offset = 0
    while chunks := _chunks(session, log_id, offset):
        for start, data in chunks:
            piece = zstd.decompress(data)
            offset = start + len(piece)
            digest.update(piece)
    return digest.hexdigest()


def _plain(chunk: LogChunk) -> bytes:
    """Unpack a chunk; empty if it is not what it says it is. It never unpacks more than the chunk's size."""
    try:
        plain = zstd.ZstdDecompressor().decompress(chunk.data, max_length=chunk.size + 1)
    except zstd.ZstdError:
        return b""
    return plain if len(plain) == chunk.size and zlib.crc32(plain) == chunk.crc32 else b""


def _path_hash(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()
