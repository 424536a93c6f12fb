"""The rows that hold the bytes of a log: read from anywhere, added, deleted, cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from airflow_edge.protocol.logs import zstd
from airflow_edge.store.logs.seekable_zstd import cut, pieces
from airflow_edge.store.tables import LogChunkRow, LogRow

LARGEST_ROW: Final = 4 * 1024 * 1024
"""Plain bytes: a driver holds a whole row, some of them twice, and MySQL takes no more than 16 MiB in a packet."""
ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """A piece of a log; offset and size in plain bytes, `data` a zstd frame."""

    offset: int
    size: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset of what follows."""
        return self.offset + self.size


def read_rows(session: Session, log_id: UUID, position: int) -> list[Row]:
    """Give the row that holds this position, and those after it, in all about as much as the largest row may have."""
    begin = select(func.max(LogChunkRow.offset)).where(LogChunkRow.log_id == log_id, LogChunkRow.offset <= position)
    query = (
        select(LogChunkRow.offset, LogChunkRow.size, LogChunkRow.data)
        .where(
            LogChunkRow.log_id == log_id,
            LogChunkRow.offset >= func.coalesce(begin.scalar_subquery(), position),
            LogChunkRow.offset < position + LARGEST_ROW,
        )
        .order_by(LogChunkRow.offset)
        .limit(ROWS_AT_ONCE)
    )
    return [Row(*row) for row in session.execute(query)]


def unpack(rows: list[Row], position: int) -> Iterator[bytes]:
    """Give the plain bytes from this position on, in pieces, as far as the rows follow upon each other."""
    for row in rows:
        if not row.offset <= position < row.end:
            return
        for piece in cut(pieces(row.data), position - row.offset):
            yield piece
            position += len(piece)


def add_row(session: Session, log_id: UUID, offset: int, plain: bytes) -> None:
    """Add a row with these bytes."""
    add_frame(session, log_id, Row(offset, len(plain), zstd.compress(plain)))


def add_frame(session: Session, log_id: UUID, row: Row) -> None:
    """Add a row."""
    session.execute(insert(LogChunkRow).values(log_id=log_id, offset=row.offset, size=row.size, data=row.data))


def delete_rows(session: Session, log_id: UUID, begin: int, end: int) -> None:
    """Delete the rows that begin in this range."""
    session.execute(
        delete(LogChunkRow).where(LogChunkRow.log_id == log_id, LogChunkRow.offset >= begin, LogChunkRow.offset < end)
    )


def shorten(session: Session, log: LogRow, size: int) -> None:
    """Drop what the log, which is locked, has beyond this size."""
    log.object_size = min(log.object_size, size)
    # The row that goes beyond the new end is cut.
    for row in read_rows(session, log.id, size)[:1]:
        if row.offset < size < row.end:
            kept = b"".join(cut(pieces(row.data), 0, size - row.offset))
            delete_rows(session, log.id, row.offset, row.end)
            add_row(session, log.id, row.offset, kept)
            log.merged = min(log.merged, row.offset)
    delete_rows(session, log.id, size, log.size)
    log.size = size
    log.merged = min(log.merged, size)
    log.loose = (
        session.scalar(select(func.count()).where(LogChunkRow.log_id == log.id, LogChunkRow.offset >= log.merged)) or 0
    )
    log.revision += 1


def first_offsets(session: Session, log_id: UUID, end: int, limit: int) -> list[int]:
    """Give the offsets of the first rows that begin before `end`, at most `limit`, in order."""
    query = select(LogChunkRow.offset).where(LogChunkRow.log_id == log_id, LogChunkRow.offset < end)
    return list(session.scalars(query.order_by(LogChunkRow.offset).limit(limit)))
