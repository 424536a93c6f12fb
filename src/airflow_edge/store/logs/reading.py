"""Reading a log while others write it, lay it elsewhere, or delete it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_edge.store.errors import LogStoreError, LogUnreadableError
from airflow_edge.store.logs.objects import ObjectStore
from airflow_edge.store.logs.rows import Row, read_rows, unpack
from airflow_edge.store.tables import LogRow


class InRows(NamedTuple):
    """The row that holds a position, and some after it; none if they are not there, which can only be for a moment."""

    revision: int
    rows: list[Row]


class InObject(NamedTuple):
    """The object that holds a position; its first `size` bytes count."""

    revision: int
    store_url: str
    key: str
    size: int


Whereabouts: TypeAlias = InRows | InObject


def look(session: Session, log_id: UUID, position: int) -> Whereabouts | None:
    """Say where the bytes from this position on are; None at the end, and for a log that was deleted."""
    query = select(
        LogRow.size, LogRow.revision, LogRow.purged_at, LogRow.store_url, LogRow.object_key, LogRow.object_size
    ).where(LogRow.id == log_id)
    log = session.execute(query).one_or_none()
    if log is None or log.purged_at is not None or position >= log.size:
        return None
    if position < log.object_size:
        return InObject(log.revision, log.store_url, log.object_key, log.object_size)
    return InRows(log.revision, read_rows(session, log_id, position))


def read(find: Callable[[int], Whereabouts | None], position: int) -> Iterator[bytes]:
    """Give the bytes from this position on, piece by piece.

    What is not there may have been laid elsewhere since somebody looked: then the revision is another.

    :param find: `look`, for one log
    :raises LogUnreadableError: some of them are missing, or cannot be read where they are.
    """
    revision: int | None = None
    while (found := find(position)) is not None:
        begin, problem = position, None
        try:
            for piece in _pieces(found, position):
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


def _pieces(found: Whereabouts, position: int) -> Iterator[bytes]:
    if isinstance(found, InRows):
        return unpack(found.rows, position)
    return ObjectStore(found.store_url).read(found.key, position, found.size)
