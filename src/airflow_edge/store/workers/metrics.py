"""Measurements of workers over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.orm import Session

from airflow_edge.rules.metrics import MINUTES_PER_CHUNK, Chunk
from airflow_edge.store.tables import WorkerMetricRow
from airflow_edge.store.transactions import Transactions, changed_rows

T = TypeVar("T")

AT_ONCE: Final = 500
"""Rows in one statement: databases limit how many values that may have."""
PURGED_AT_ONCE: Final = 1_000


class WorkerMetrics:
    """Chunks of measurements."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Keep chunks, each in the place of one of the same worker that began in the same minute."""
        key = tuple_(WorkerMetricRow.worker_id, WorkerMetricRow.minute)

        def work(session: Session) -> None:
            for some in _batches(sorted(chunks, key=lambda chunk: chunk.worker_id), AT_ONCE):
                session.execute(delete(WorkerMetricRow).where(key.in_([(one.worker_id, one.minute) for one in some])))
                rows = [
                    {"worker_id": one.worker_id, "minute": one.minute, "size": one.size, "data": one.data}
                    for one in some
                ]
                session.execute(insert(WorkerMetricRow), rows)

        self._transactions.write(work)

    def read(self, worker_id: UUID, *, since: int, until: int) -> list[Chunk]:
        """Give the chunks of a worker that know something of this time, in minutes since 1970, oldest first."""
        query = (
            select(WorkerMetricRow)
            .where(
                WorkerMetricRow.worker_id == worker_id,
                WorkerMetricRow.minute > since - MINUTES_PER_CHUNK,
                WorkerMetricRow.minute < until,
            )
            .order_by(WorkerMetricRow.minute)
        )
        return self._transactions.read(
            lambda session: [
                Chunk(row.worker_id, row.minute, row.size, row.data)
                for row in session.scalars(query)
                if row.minute + row.size > since
            ]
        )

    def purge(self, *, before: int) -> int:
        """Delete, in several transactions, the chunks that begin before this minute; say how many."""
        # Worker by worker, as the key has it: an index for this alone would be a third of the table.
        workers = self._transactions.read(
            lambda session: list(session.scalars(select(WorkerMetricRow.worker_id).distinct()))
        )
        return sum(self._purge(some, before) for some in _batches(workers, AT_ONCE))

    def _purge(self, worker_ids: Sequence[UUID], before: int) -> int:
        old = WorkerMetricRow.worker_id.in_(worker_ids), WorkerMetricRow.minute < before
        key = tuple_(WorkerMetricRow.worker_id, WorkerMetricRow.minute)

        def work(session: Session) -> int:
            keys = session.execute(
                select(WorkerMetricRow.worker_id, WorkerMetricRow.minute).where(*old).limit(PURGED_AT_ONCE)
            ).all()
            if not keys:
                return 0
            return changed_rows(session.execute(delete(WorkerMetricRow).where(key.in_([tuple(one) for one in keys]))))

        purged = 0
        while found := self._transactions.write(work):
            purged += found
        return purged


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
