"""Reading a log while others write it, lay it elsewhere, or delete it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_edge.dispatch.ports import LogUnreadableError
from airflow_edge.store.log_rows import Row, read_rows, unpack
from airflow_edge.store.tables import LogRow


class GapError(Exception):
    """No row holds the position: somebody was laying it elsewhere, or (at the same revision again) it is missing."""

    def __init__(self, revision: int) -> None:
        super().__init__(revision)
        self.revision = revision


def look(session: Session, log_id: UUID, position: int) -> list[Row]:
    """Give the row that holds this position, and some after it; none at the end, and for a log that was deleted.

    :raises GapError: there is none where there should be one.
    """
    query = select(LogRow.size, LogRow.revision, LogRow.purged_at).where(LogRow.id == log_id)
    log = session.execute(query).one_or_none()
    if log is None or log.purged_at is not None or position >= log.size:
        return []
    rows = read_rows(session, log_id, position)
    if not rows or rows[0].end <= position:
        raise GapError(log.revision)
    return rows


def read(find: Callable[[int], list[Row]], position: int) -> Iterator[bytes]:
    """Give the bytes from this position on, piece by piece.

    :param find: `look`, for one log
    :raises LogUnreadableError: some of them are missing.
    """
    gap: GapError | None = None
    while True:
        try:
            rows = find(position)
        except GapError as error:
            if gap is not None and gap.revision == error.revision:
                raise LogUnreadableError(f"the database has lost the bytes from {position} on") from error
            gap = error
            continue
        if not rows:
            return
        for piece in unpack(rows, position):
            yield piece
            position += len(piece)
