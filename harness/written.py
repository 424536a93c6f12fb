"""Fleets that are only written down, with the product's own store: workers that were never there, and their jobs."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.messages import Metrics
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.metrics import MINUTES_PER_CHUNK, Chunk, Recorder
from airflow_edge.store import queueing
from airflow_edge.store.store import Store
from airflow_edge.store.tables import Base, JobRow, ProcessRow, WorkerRow
from airflow_edge.store.workers.workers import LinkFacts

MIB, GIB = 2**20, 2**30
SITES = ("hall-a", "hall-b", "oven", "press", "dock", "mast", "ship", "mine", "store", "lab")


class WrittenFleet:
    """Writes workers and jobs down. What is not said of a worker is as with one that is well."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        self.store = Store(sessions)
        self.now = datetime.now(UTC)
        self._random = random.Random(7)

    def clear(self) -> None:
        with self.sessions() as session:
            for table in Base.metadata.sorted_tables:
                # A gateway that is there leaves its mark now and then.
                if table is not ProcessRow.__table__:
                    session.execute(table.delete())
            session.commit()

    def worker(
        self,
        name: str,
        *queues: str,
        state: WorkerState = WorkerState.IDLE,
        concurrency: int = 4,
        conditions: str = "",
        seen: timedelta = timedelta(0),
        **columns: Any,
    ) -> UUID:
        """Write down a worker that has linked.

        :param seen: how long ago it was heard from last
        :param columns: of its row, as they are to be instead
        """
        key = hashlib.sha256(name.encode()).digest()
        worker = self.store.enroll_tokens.enroll_trusted(name, key, queues or ("plc",), now=self._ago(days=9))
        facts = LinkFacts(
            link_id=uuid4(),
            gateway_id="centre:1",
            transport="WebSocket",
            boot_id=str(uuid4()),
            agent_version="0.1.0",
            airflow_version="3.3.2",
            concurrency=concurrency,
            state=state,
            instance=uuid4(),
            life=uuid4(),
            host_name=f"{name}.example.org",
            address="10.20.0.7",
        )
        self.store.workers.link({worker.id: facts}, now=self._ago(hours=7))
        system = {"cpus": 4, "load": 1.2, "python_version": "3.12.3", "warnings": "", "conditions": conditions}
        self.store.workers.seen({worker.id: state}, {worker.id: system}, now=self.now - seen)
        if columns:
            with self.sessions() as session:
                session.execute(update(WorkerRow).where(WorkerRow.id == worker.id).values(**columns))
                session.commit()
        self._measure([worker.id])
        return worker.id

    def job(
        self,
        queue: str = "plc",
        *,
        state: JobState = JobState.QUEUED,
        worker: UUID | None = None,
        queued: timedelta = timedelta(minutes=3),
        task: str = "temperature",
        **columns: Any,
    ) -> UUID:
        """Write down a job.

        :param queued: how long ago it was queued; it was started a second later, if it was
        """
        row = JobRow(
            **{
                "id": uuid4(),
                "kind": "task",
                "workload_id": uuid4(),
                "dag_id": "press_check",
                "task_id": task,
                "run_id": "scheduled__2026-11-29T08:00:00+00:00",
                "map_index": -1,
                "try_number": 1,
                "queue": queue,
                "team_name": None,
                "priority_weight": 1,
                "slots": 1,
                # No scheduler's, or the centre would find out that it is not there.
                "owner": None,
                "log_path": "press_check/1.log",
                "workload": "{}",
                "state": state,
                "worker_id": worker,
                "assignment": 0 if worker is None else 1,
                "started_at": None if worker is None else self.now - queued + timedelta(seconds=1),
                **columns,
            }
        )
        with self.sessions() as session:
            queueing.add_job(session, row, now=self.now - queued)
            session.commit()
        return row.id

    def many(self, count: int) -> None:
        """Write down so many workers of ten sites, of which not all are well, and their jobs."""
        states = (
            [WorkerState.IDLE] * 6 + [WorkerState.RUNNING] * 12 + [WorkerState.MAINTENANCE_MODE, WorkerState.UNKNOWN]
        )
        workers, jobs = [], []
        for number in range(count):
            site, state = SITES[number % len(SITES)], states[number % len(states)]
            worker = WorkerRow(
                id=uuid4(),
                name=f"{site}-{number // len(SITES) + 1:04}",
                public_key=hashlib.sha256(number.to_bytes(4)).digest(),
                queues=[site, "default"],
                state=state,
                concurrency=4,
                enrolled_at=self._ago(days=9),
                last_seen_at=self._ago(minutes=20 if state is WorkerState.UNKNOWN else 0),
                linked_at=self._ago(hours=7),
                changed_at=self._ago(hours=7),
                link_id=uuid4(),
                gateway_id="centre:1",
                transport="WebSocket",
                boot_id=str(uuid4()),
                agent_version="0.1.0",
                airflow_version="3.3.2",
                system={"cpus": 4, "load": 1.2, "python_version": "3.12.3", "warnings": "", "conditions": ""},
                silent=state is WorkerState.UNKNOWN,
                host_name=f"{site}-{number}.example.org",
                address="10.20.0.7",
            )
            workers.append(worker)
            jobs += [(site, worker.id)] * (state is WorkerState.RUNNING) * (1 + number % 3)
        with self.sessions() as session:
            session.add_all(workers)
            session.flush()
            session.add_all(
                JobRow(
                    id=uuid4(),
                    kind="task",
                    workload_id=uuid4(),
                    dag_id=f"{queue}_check",
                    task_id="temperature",
                    run_id="scheduled__2026-11-29T08:00:00+00:00",
                    map_index=number,
                    try_number=1,
                    queue=queue,
                    team_name=None,
                    priority_weight=1,
                    slots=1,
                    owner=None,
                    log_path="",
                    workload="{}",
                    state=JobState.RUNNING,
                    worker_id=holder,
                    assignment=1,
                    started_at=self._ago(minutes=2),
                )
                for number, (queue, holder) in enumerate(jobs)
            )
            for job in session.new:
                job.queued_at = self._ago(minutes=3)
            session.commit()
        self._measure([worker.id for worker in workers])

    def _ago(self, **how_long: float) -> datetime:
        return self.now - timedelta(**how_long)

    def _measure(self, worker_ids: Sequence[UUID]) -> None:
        """Write down what workers said of themselves in the last minutes."""
        last = int(self.now.timestamp()) // 60
        chunks: list[Chunk] = []
        for worker_id in worker_ids:
            recorder = Recorder(worker_id)
            cpu = self._random.uniform(5, 80)
            for minute in range(last - MINUTES_PER_CHUNK + 1, last + 1):
                cpu = min(98.0, max(2.0, cpu + self._random.uniform(-9, 9)))
                measured = Metrics(
                    cpu_percent=cpu,
                    memory_percent=40 + cpu / 5,
                    disk_free=30 * GIB - 10 * MIB * minute % GIB,
                    round_trip=0.02 + cpu / 4000,
                )
                recorder.add(measured, 1, minute)
            chunk = recorder.due(last + 1)
            assert chunk is not None
            chunks.append(chunk)
        self.store.metrics.write(chunks)
