"""A task of a real Dag in Airflow's database, brought into one situation after the other, and the explanation of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zlib import crc32

import pytest
from airflow.models import DagModel, DagRun, Pool, TaskInstance
from airflow.models.dagbundle import DagBundleModel
from airflow.models.log import Log
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.models.taskreschedule import TaskReschedule
from airflow.models.team import Team
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils.db import synchronize_log_template
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import delete, update

from airflow_edge.admin.audit import note_denial
from airflow_edge.admin.explaining import explain_task
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.messages import Accepted, Ended, LogChunk
from airflow_edge.rules.explanation.facts import Explanation
from airflow_edge.rules.liveness import Silence
from airflow_edge.rules.matching import Capacity
from airflow_edge.rules.processes import CentreProcess, ProcessKind
from airflow_edge.rules.worker import Worker
from airflow_edge.store.tables import JobRow, ProcessRow, WorkerRow
from tests.integration.admin.world import Api

DAG_ID, RUN_ID, TASK_ID = "explained", "run", "task"
SENSOR = "sensor"
NEIGHBOUR = "first"
"""The task upstream of it."""
SMALL_POOL = "small"
LEASE = timedelta(minutes=1)


class Explained:
    """The task, the API's store beside it, and what can be made of both."""

    def __init__(self, api: Api, patch: pytest.MonkeyPatch) -> None:
        """Write the Dag and one run of it, as a Dag processor and a scheduler would."""
        self.api = api
        self._patch = patch
        self.began = datetime.now(UTC)
        with DAG(DAG_ID, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
            BaseSensorOperator(task_id=SENSOR, executor="EdgeExecutor", mode="reschedule")
            task = BaseOperator(task_id=TASK_ID, executor="EdgeExecutor", retries=2, retry_delay=timedelta(minutes=5))
            BaseOperator(task_id=NEIGHBOUR, executor="EdgeExecutor") >> task
        synchronize_log_template()
        lazy = LazyDeserializedDAG.from_dag(dag)
        with api.sessions() as session:
            session.merge(DagBundleModel(name="bundle"))
            for pool, slots in (("default_pool", 128), (SMALL_POOL, 1)):
                if session.query(Pool).filter_by(pool=pool).one_or_none() is None:
                    session.add(Pool(pool=pool, slots=slots, include_deferred=False))
            session.commit()
            SerializedDAG.bulk_write_to_db("bundle", None, [lazy], session=session)
            SerializedDagModel.write_dag(lazy, bundle_name="bundle", session=session)
            session.commit()
            DagSerialization.from_dict(DagSerialization.to_dict(dag)).create_dagrun(
                run_id=RUN_ID,
                run_after=self.began,
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                logical_date=self.began,
                data_interval=(self.began, self.began),
                session=session,
            )
            session.commit()
        self.dag(is_paused=False)
        self.started("scheduler", "gateway")

    def why(self, task_id: str = TASK_ID) -> Explanation:
        """Explain the task, as the command and the API do."""
        return explain_task(self.api.store, DAG_ID, RUN_ID, task_id, -1)

    # What runs at the centre

    def started(self, *kinds: ProcessKind, ago: timedelta = timedelta(0)) -> None:
        """Have only these processes have left a mark, so long ago."""
        self._write(delete(ProcessRow))
        for kind in kinds:
            seen = datetime.now(UTC) - ago
            mark = CentreProcess(
                id=uuid4(), kind=kind, host="vm", pid=1, version="1", executors="", started_at=seen, seen_at=seen
            )
            self.api.store.processes.mark(mark)

    def log(self, worker: Worker, job_id: UUID, *lines: dict[str, Any]) -> None:
        """Have this arrive of the job's log."""
        plain = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        chunk = LogChunk(
            job_id=str(job_id), assignment=1, offset=0, size=len(plain), crc32=crc32(plain), data=zstd.compress(plain)
        )
        assert self.api.store.logs.append(worker.id, chunk, now=datetime.now(UTC)) is not None

    def note(self, event: str) -> None:
        """Have Airflow's scheduler note an event of the task."""
        with self.api.sessions() as session:
            instance = session.query(TaskInstance).filter_by(dag_id=DAG_ID, task_id=TASK_ID).one()
            session.add(Log(event=event, task_instance=instance.key))
            session.commit()

    # What Airflow holds

    def dag(self, **fields: Any) -> None:
        self._write(update(DagModel).where(DagModel.dag_id == DAG_ID).values(**fields))

    def give_to(self, *teams: str) -> None:
        """Have these teams own the Dag."""
        with self.api.sessions() as session:
            owners = session.query(Team).filter(Team.name.in_(teams)).all()
            session.merge(DagBundleModel(name="bundle")).teams = owners
            session.commit()
        # Airflow remembers whose it was, since 3.3.
        getattr(DagModel.get_team_name, "cache_clear", lambda: None)()

    def run(self, state: str) -> None:
        self._write(update(DagRun).where(DagRun.dag_id == DAG_ID).values(state=state))

    def task(self, state: str | None, task_id: str = TASK_ID, **fields: Any) -> None:
        of_it = TaskInstance.dag_id == DAG_ID, TaskInstance.task_id == task_id
        self._write(update(TaskInstance).where(*of_it).values(state=state, **fields))

    def limit_parallelism(self, tasks: int) -> None:
        self._patch.setenv("AIRFLOW__CORE__PARALLELISM", str(tasks))

    def reschedule(self, due: datetime, task_id: str = TASK_ID) -> None:
        """Have it look again then, as a sensor does, and as a task whose Dag was not found."""
        with self.api.sessions() as session:
            instance = session.query(TaskInstance).filter_by(dag_id=DAG_ID, task_id=task_id).one()
            session.add(TaskReschedule(instance.id, self.began, self.began, due))
            session.commit()
        self.task("up_for_reschedule", task_id, try_number=1)

    # What we hold

    def hand_over(self, **fields: Any) -> UUID:
        """Queue the task, and its job."""
        self.task("queued")
        path = f"dag_id={DAG_ID}/run_id={RUN_ID}/task_id={TASK_ID}/attempt={fields.get('try_number', 1)}.log"
        return self.api.queue(dag_id=DAG_ID, run_id=RUN_ID, task_id=TASK_ID, **{"log_path": path, **fields})

    def offer(self, worker: Worker, queue: str = "default") -> UUID:
        """Hand the job that is due first in this queue to a worker."""
        capacity = Capacity(worker_id=worker.id, queues=frozenset([queue]), team_name=None, free_slots=8)
        now = datetime.now(UTC)
        (job,) = self.api.store.queue.claim([capacity], lease_until=now + LEASE, now=now).jobs
        return job.id

    def accept(self, worker: Worker, queue: str = "default") -> UUID:
        """The same, and the worker accepts it."""
        job_id = self.offer(worker, queue)
        accepted = Accepted(job_id=str(job_id), assignment=1)
        self.api.store.jobs.settle(worker.id, [accepted], now=datetime.now(UTC))
        return job_id

    def end(self, worker: Worker, job_id: UUID, reason: str) -> None:
        ended = Ended(job_id=str(job_id), assignment=1, exit_code=1, reason=reason)
        self.api.store.jobs.settle(worker.id, [ended], now=datetime.now(UTC))

    def denied(self, name: str, *, more: int = 0, try_number: int = 1) -> None:
        """Note that the policy has denied it a variable."""
        of = TaskInstanceKey(DAG_ID, TASK_ID, RUN_ID, try_number, -1)
        wish: dict[str, object] = {"more": more} if more else {"grant": "variables", "name": name}
        note_denial(of, f"It may not read variable '{name}'", by="worker press-7", wish=wish)

    def forget_jobs(self) -> None:
        """Have the jobs be purged."""
        self._write(delete(JobRow))

    def silence(self, worker: Worker) -> None:
        """Have the worker not been heard of for longer than a moment, and a gateway notice."""
        now = datetime.now(UTC)
        seen_at = now - timedelta(minutes=2)
        self._write(update(WorkerRow).where(WorkerRow.id == worker.id).values(last_seen_at=seen_at))
        self.api.store.workers.mark_unreachable({worker.id: Silence(seen_at, now)})

    def clear(self) -> None:
        """Take the run away."""
        self.give_to()
        for model in (TaskReschedule, TaskInstance, DagRun):
            self._write(delete(model))

    def _write(self, statement: Any) -> None:
        with self.api.sessions() as session:
            session.execute(statement)
            session.commit()
