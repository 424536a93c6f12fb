"""How many bytes the measurements of workers take, in PostgreSQL and in SQLite.

    python -m tools.measure_metrics [--workers 1000] [--hours 24]

Writes what gateways write in that time, minute by minute: each worker's chunk in the place of the shorter one before.
PostgreSQL is vacuumed every 20 minutes of it, as autovacuum does of its own accord where time does not fly. What is
printed is the table with its index, as it then lies on the disk.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import sessionmaker

from airflow_edge.protocol.messages import Metrics
from airflow_edge.rules.metrics import Recorder
from airflow_edge.store.store import Store
from airflow_edge.store.tables import Base, WorkerMetricRow
from harness.database import PostgresServer, SqliteFiles

FIRST_MINUTE = 29_000_000
VACUUM_EVERY = 20
TABLE = WorkerMetricRow.__tablename__
DAY = 24 * 60


def measure(engine: Engine, size: Callable[[Engine], int], workers: int, minutes: int) -> None:
    """Write, and print what there is."""
    Base.metadata.create_all(engine)
    empty = size(engine)
    store = Store(sessionmaker(engine, autoflush=False, expire_on_commit=False))
    recorders = [Recorder(uuid4()) for _ in range(workers)]
    spent = 0.0
    for minute in range(FIRST_MINUTE, FIRST_MINUTE + minutes):
        for recorder in recorders:
            recorder.add(_somehow(), 3, minute)
        chunks = [chunk for recorder in recorders if (chunk := recorder.due(minute + 1)) is not None]
        began = time.perf_counter()
        store.metrics.write(chunks)
        spent += time.perf_counter() - began
        if minute % VACUUM_EVERY == 0 and engine.dialect.name == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(f"VACUUM {TABLE}"))
    taken = size(engine) - empty
    each = taken / workers / minutes
    print(
        f"{engine.dialect.name:10}  {taken:12,} bytes for {workers} workers in {minutes / 60:g} hours: {each:.1f} a "
        f"minute and worker, {each * DAY * 1000 / 1e6:.0f} MB a day for 1,000; {spent / minutes * 1000:.1f} ms a write"
    )


def _somehow() -> Metrics:
    return Metrics(
        cpu_percent=random.uniform(0, 100),
        load=random.uniform(0, 8),
        memory_percent=random.uniform(0, 100),
        disk_free=random.uniform(1e9, 1e12),
        bytes_received=random.uniform(0, 1e7),
        bytes_sent=random.uniform(0, 1e7),
        round_trip=random.uniform(0.001, 0.2),
        reconnects=0,
    )


def _of_postgresql(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text(f"SELECT pg_total_relation_size('{TABLE}')")) or 0)


def _of_sqlite(engine: Engine) -> int:
    with engine.connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        pages, size = (connection.scalar(text(f"PRAGMA {name}")) for name in ("page_count", "page_size"))
        return int(pages or 0) * int(size or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=24.0)
    arguments = parser.parse_args()
    minutes = int(arguments.hours * 60)
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        engine = create_engine(SqliteFiles(Path(folder)).create("metrics").url)
        measure(engine, _of_sqlite, arguments.workers, minutes)
        engine.dispose()
        with PostgresServer().running() as server:
            engine = create_engine(server.create("metrics").url)
            measure(engine, _of_postgresql, arguments.workers, minutes)
            engine.dispose()


if __name__ == "__main__":
    main()
