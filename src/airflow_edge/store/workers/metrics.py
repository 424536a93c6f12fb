"""Measurements of workers over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final
from uuid import UUID

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.orm import Session

from airflow_edge.rules.metrics import MINUTES_PER_CHUNK, Chunk
from airflow_edge.store.columns import batches, to_value
from airflow_edge.store.tables import WorkerMetricRow
from airflow_edge.store.transactions import StorePart, change, reading, writing

PURGED_AT_ONCE: Final = 1_000

_KEY: Final = tuple_(WorkerMetricRow.worker_id, WorkerMetricRow.minute)


class WorkerMetrics(StorePart):
    """Chunks of measurements."""

    @writing
    def write(self, session: Session, chunks: Sequence[Chunk]) -> None:
        """Keep chunks, each in the place of one of the same worker that began in the same minute."""
        for some in batches(sorted(chunks, key=lambda chunk: chunk.worker_id)):
            session.execute(delete(WorkerMetricRow).where(_KEY.in_([(one.worker_id, one.minute) for one in some])))
            session.execute(insert(WorkerMetricRow), [asdict(one) for one in some])

    @reading
    def read(self, session: Session, worker_id: UUID, *, since: int, until: int) -> list[Chunk]:
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
        return [to_value(Chunk, row) for row in session.scalars(query) if row.minute + row.size > since]

    def purge(self, *, before: int) -> int:
        """Delete, in several transactions, the chunks that begin before this minute; say how many."""
        # Worker by worker, as the key has it: an index for this alone would be a third of the table.
        workers = self._transactions.read(
            lambda session: list(session.scalars(select(WorkerMetricRow.worker_id).distinct()))
        )
        purged = 0
        for some in batches(workers):
            while found := self._purge_some(some, before):
                purged += found
        return purged

    @writing
    def _purge_some(self, session: Session, worker_ids: Sequence[UUID], before: int) -> int:
        old = WorkerMetricRow.worker_id.in_(worker_ids), WorkerMetricRow.minute < before
        keys = session.execute(
            select(WorkerMetricRow.worker_id, WorkerMetricRow.minute).where(*old).limit(PURGED_AT_ONCE)
        ).all()
        return change(session, delete(WorkerMetricRow).where(_KEY.in_([tuple(one) for one in keys]))) if keys else 0
