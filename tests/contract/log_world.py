"""What the contract's tests of logs send, and the places where logs are kept."""

from __future__ import annotations

import hashlib
import sys
import zlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.messages import LogChunk, LogEnd
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.logs.logs import LogProgress, TaskLogs
from airflow_edge.store.store import Store
from airflow_edge.store.tables import LogChunkRow, LogRow
from airflow_edge.store.transactions import Transactions
from tests.contract.world import NOW, accepted, capacity, claim, new_job, queue

Sessions = sessionmaker[Session]
PATH = "dag_id=dag/" + "ü" * 900 + "/attempt=1.log"
BUCKET = "s3://logs/edge"
PLACES = ("sqlite", "postgresql", "mysql", "sqlite+folder", "postgresql+s3")


@dataclass(frozen=True)
class Place:
    """A database, and the log store beside it (None if there is none)."""

    sessions: Sessions
    url: str | None

    @property
    def store(self) -> Store:
        return Store(self.sessions)

    def tidy(self, store: Store | None = None, *, now: datetime = NOW) -> None:
        """Do everything that can be done for the logs, as if it were due."""
        with self.sessions() as session:
            session.execute(update(LogRow).where(LogRow.tidy_at.is_not(None)).values(tidy_at=now))
            session.commit()
        while (store or self.store).log_upkeep.tidy(self.url, clock=lambda: now):
            pass

    def rows(self) -> int:
        """How many rows hold bytes of logs."""
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(LogChunkRow)) or 0


class TidiedLogs(TaskLogs):
    """Logs that are tidied after each step: nobody may notice."""

    def __init__(self, place: Place) -> None:
        super().__init__(Transactions(place.sessions))
        self._place = place

    def append(self, worker_id: UUID, chunk: LogChunk, *, now: datetime, most: int = sys.maxsize) -> LogProgress | None:
        progress = super().append(worker_id, chunk, now=now, most=most)
        self._place.tidy()
        return progress

    def finish(self, worker_id: UUID, end: LogEnd, *, now: datetime) -> LogProgress | None:
        progress = super().finish(worker_id, end, now=now)
        self._place.tidy()
        return progress


def running_job(store: Store, sessions: Sessions, worker: UUID, path: str = PATH) -> ClaimedJob:
    queue(sessions, new_job(log_path=path))
    (job,) = claim(store, capacity(worker))
    store.jobs.settle(worker, [accepted(job)], now=NOW)
    return job


def chunk(job: ClaimedJob, offset: int, plain: bytes, **fields) -> LogChunk:
    return LogChunk(
        **{
            "job_id": str(job.id),
            "assignment": job.assignment,
            "offset": offset,
            "size": len(plain),
            "crc32": zlib.crc32(plain),
            "data": zstd.compress(plain),
            **fields,
        }
    )


def end(job: ClaimedJob, plain: bytes, start: int = 0) -> LogEnd:
    return LogEnd(
        job_id=str(job.id),
        assignment=job.assignment,
        size=len(plain),
        sha256=hashlib.sha256(plain[start:]).hexdigest(),
        start=start,
    )


def send(
    store: Store,
    worker: UUID,
    job: ClaimedJob,
    plain: bytes,
    *,
    begin: int = 0,
    pieces: int = 200_000,
    now: datetime = NOW,
) -> None:
    """Send the bytes from `begin` on."""
    for offset in range(begin, len(plain), pieces):
        store.logs.append(worker, chunk(job, offset, plain[offset : offset + pieces]), now=now)


def finish(store: Store, worker: UUID, job: ClaimedJob, plain: bytes, *, now: datetime = NOW) -> None:
    """Send the end of a log, which has to be complete then."""
    assert store.logs.finish(worker, end(job, plain), now=now) == LogProgress(len(plain), complete=True)
