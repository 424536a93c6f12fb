"""The workers' own logs, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.logs.worker_log import unpack
from airflow_edge.protocol.messages import WorkerLog
from airflow_edge.rules.logs.worker_log import WorkerLogBatch
from airflow_edge.rules.worker import LogRequest
from airflow_edge.store.columns import to_value
from airflow_edge.store.tables import WorkerLogRow, WorkerRow
from airflow_edge.store.transactions import StorePart, change, reading, writing

ROW_COST = 256
"""Bytes that a batch counts for beside its data, so that many small ones are not for free."""
BATCHES_AT_ONCE = 100
KEPT_OF_QUOTA = 0.75
"""What is left when the quota was passed: not every batch shall cost a deletion."""


class WorkerLogs(StorePart):
    """The workers' own logs."""

    def append(self, worker_id: UUID, batch: WorkerLog, *, quota: int, now: datetime) -> bool:
        """Keep a batch, and delete the worker's oldest ones where that is more than `quota` bytes.

        False if it is none, is more than the quota by itself, or if this worker is not known.
        """
        cost = len(batch.data) + ROW_COST
        if cost > quota or not _is_sound(batch):
            return False

        def work(session: Session) -> bool:
            if session.scalar(select(WorkerRow.id).where(WorkerRow.id == worker_id)) is None:
                return False
            last, size = session.execute(
                select(func.max(WorkerLogRow.number), func.coalesce(func.sum(WorkerLogRow.size), 0)).where(
                    WorkerLogRow.worker_id == worker_id
                )
            ).one()
            if size + cost > quota:
                _make_room(session, worker_id, int(quota * KEPT_OF_QUOTA) - cost)
            session.add(
                WorkerLogRow(
                    worker_id=worker_id,
                    # Numbers go on rising when all batches were deleted.
                    number=max((last or 0) + 1, int(now.timestamp() * 1_000_000)),
                    received_at=now,
                    run=batch.run,
                    first=batch.first,
                    answers=batch.answers,
                    size=cost,
                    data=batch.data,
                )
            )
            return True

        try:
            return self._transactions.write(work)
        except IntegrityError:
            # An older link of the same worker was faster.
            return False

    @reading
    def read(self, session: Session, worker_id: UUID, *, after: int = 0) -> list[WorkerLogBatch]:
        """Give the batches with higher numbers than `after`, oldest first, at most some at once."""
        query = (
            select(WorkerLogRow)
            .where(WorkerLogRow.worker_id == worker_id, WorkerLogRow.number > after)
            .order_by(WorkerLogRow.number)
            .limit(BATCHES_AT_ONCE)
        )
        return [
            to_value(WorkerLogBatch, row, records=unpack(zstd.decompress(row.data))) for row in session.scalars(query)
        ]

    @reading
    def last(self, session: Session, worker_id: UUID) -> int:
        """Give the number of the newest batch, 0 if there is none."""
        return session.scalar(select(func.max(WorkerLogRow.number)).where(WorkerLogRow.worker_id == worker_id)) or 0

    @writing
    def want(self, session: Session, worker_id: UUID, request: LogRequest, *, now: datetime) -> LogRequest:
        """Ask a worker for its own log; give what it is asked for with the requests of others that last.

        A request without past records only prolongs one that lasts.
        """
        worker = session.get(WorkerRow, worker_id, with_for_update=True)
        if worker is None:
            return request
        current = None if worker.log_request is None else to_request(worker.log_request)
        wanted = request if current is None or current.until <= now else _joined(current, request)
        worker.log_request = asdict(wanted) | {"until": wanted.until.timestamp()}
        worker.changed_at = now
        return wanted

    @writing
    def purge(self, session: Session, *, before: datetime, limit: int) -> int:
        """Delete batches that came before then, at most `limit`; say how many."""
        oldest = (
            select(WorkerLogRow.worker_id, WorkerLogRow.number)
            .where(WorkerLogRow.received_at < before)
            .order_by(WorkerLogRow.received_at)
            .limit(limit)
            .subquery()
        )
        up_to = select(oldest.c.worker_id, func.max(oldest.c.number)).group_by(oldest.c.worker_id)
        return sum(
            change(
                session,
                delete(WorkerLogRow).where(WorkerLogRow.worker_id == worker_id, WorkerLogRow.number <= number),
            )
            for worker_id, number in session.execute(up_to).all()
        )


def to_request(stored: Mapping[str, Any]) -> LogRequest:
    """Give the request that a worker's row holds."""
    return LogRequest(**{**stored, "until": datetime.fromtimestamp(stored["until"], UTC)})


def _joined(current: LogRequest, request: LogRequest) -> LogRequest:
    newest = request if request.lines else current
    return replace(newest, until=max(current.until, request.until), level=min(current.level, request.level))


def _make_room(session: Session, worker_id: UUID, size: int) -> None:
    """Delete the oldest batches until the others count for no more than `size` bytes."""
    query = (
        select(WorkerLogRow.number, WorkerLogRow.size)
        .where(WorkerLogRow.worker_id == worker_id)
        .order_by(WorkerLogRow.number.desc())
    )
    for number, cost in session.execute(query).all():
        size -= cost
        if size < 0:
            session.execute(
                delete(WorkerLogRow).where(WorkerLogRow.worker_id == worker_id, WorkerLogRow.number <= number)
            )
            return


def _is_sound(batch: WorkerLog) -> bool:
    """Whether it is what it says it is, in one frame: reading it cannot unpack more than is said."""
    unpacker = zstd.ZstdDecompressor()
    try:
        plain = unpacker.decompress(batch.data, max_length=batch.size + 1)
        unpack(plain)
    except (zstd.ZstdError, RemoteProtocolError):
        return False
    return len(plain) == batch.size and unpacker.eof and not unpacker.unused_data
