"""A centre whose schedulers are Airflow's own, stepped by hand, and a worker that is as good or bad as a test needs."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

from airflow import settings
from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
from airflow.executors.workloads import ExecuteTask
from airflow.executors.workloads.callback import CallbackFetchMethod
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.callback import Callback, ExecutorCallback
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.pool import Pool
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.sdk.definitions.callback import SyncCallback
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils.db import synchronize_log_template
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import prohibit_commit
from airflow.utils.state import CallbackState, DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, undefer

from airflow_edge.executor import EdgeExecutor
from airflow_edge.executor.ledger import Ledger
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.messages import Accepted, Ended, LogChunk
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.matching import Capacity
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.store import Store
from airflow_edge.store.tables import JobRow, WorkerRow

LEASE = timedelta(seconds=10)
TRIES_ARE_KEPT = hasattr(TaskInstance, "working_set")
"""From Airflow 3.4 on each try of a task has a row of its own, and callbacks say themselves that they run."""
BUNDLE = "tests"

_dags = count()


class Scheduler:
    """One scheduler with its executor, and one step of its loop at a time, as in `_run_scheduler_loop`."""

    def __init__(self, **executor_options) -> None:
        self.executor = EdgeExecutor(**executor_options)
        self.job = Job(job_type="SchedulerJob")
        with create_session() as session:
            self.job.state = "running"
            self.job.latest_heartbeat = datetime.now(UTC)
            session.add(self.job)
        self.runner = SchedulerJobRunner(job=self.job, executors=[self.executor])
        self.executor.job_id = self.job.id
        self.executor.callback_sink = DatabaseCallbackSink()
        self.executor.start()

    def schedule(self) -> int:
        """Queue what can be queued; how many."""
        with create_session() as session:
            return self.runner._do_scheduling(session)

    def schedule_and(self, session: Session, then: Callable[[], object]) -> None:
        """Queue what can be queued, and do something else in the same transaction before it is committed."""
        with prohibit_commit(session) as guard:
            options = {"eagerly_load_dag_tags": False} if TRIES_ARE_KEPT else {}
            runs = DagRun.get_running_dag_runs_to_examine(session=session, **options)
            self.runner._schedule_all_dag_runs(guard, list(runs), session)
        with prohibit_commit(session):
            self.runner._critical_section_enqueue_task_instances(session)
            then()

    def heartbeat(self) -> int:
        """Let the executor report, and deal with it; how many reports there were."""
        self.executor.heartbeat()
        events = len(self.executor.event_buffer)
        with create_session() as session:
            self.runner._process_executor_events(executor=self.executor, session=session)
        return events

    def step(self) -> int:
        queued = self.schedule()
        self.heartbeat()
        return queued

    def die(self) -> None:
        with create_session() as session:
            session.execute(update(Job).where(Job.id == self.job.id).values(state="failed"))

    def wake(self) -> None:
        """Go on after a stall for which others took it for dead: its next heartbeat makes it run again."""
        with create_session() as session:
            session.execute(update(Job).where(Job.id == self.job.id).values(state="running"))

    def queue_callbacks(self) -> None:
        with create_session() as session:
            self.runner._enqueue_executor_callbacks(session)

    def adopt(self) -> int:
        """How many orphaned tasks were reset, not adopted."""
        return self.runner.adopt_or_reset_orphaned_tasks()


class Centre:
    """A database with Dags, schedulers and workers."""

    def __init__(self) -> None:
        assert settings.NonScopedSession is not None
        self.store = Store(settings.NonScopedSession)
        self.worker_id = uuid4()
        with create_session() as session:
            session.merge(DagBundleModel(name=BUNDLE))
            synchronize_log_template(session=session)
            if session.scalar(select(Pool).where(Pool.pool == Pool.DEFAULT_POOL_NAME)) is None:
                session.add(Pool(pool=Pool.DEFAULT_POOL_NAME, slots=128, include_deferred=False))

    def close(self) -> None:
        with create_session() as session:
            session.execute(delete(JobRow))
            session.execute(delete(WorkerRow))
            session.execute(delete(Callback))
            session.execute(update(DagRun).values(state=DagRunState.FAILED))
            session.execute(update(Job).values(state="success"))

    def run(self, *task_ids: str, **task_options) -> str:
        """A run of a new Dag with these independent tasks; the Dag's id."""
        dag_id = f"dag-{next(_dags)}"
        with DAG(
            dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), is_paused_upon_creation=False
        ) as dag:
            for task_id in task_ids or ("täsk",):
                BashOperator(task_id=task_id, bash_command="true", **task_options)
        SerializedDAG.bulk_write_to_db(BUNDLE, None, [dag])
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), BUNDLE)
        now = datetime.now(UTC) - timedelta(minutes=1)
        DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).create_dagrun(
            run_id="run",
            logical_date=now,
            data_interval=(now, now),
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            start_date=now,
        )
        return dag_id

    def claim(self, slots: int = 100) -> list[ClaimedJob]:
        now = datetime.now(UTC)
        capacity = Capacity(worker_id=self.worker_id, queues=frozenset({"default"}), team_name=None, free_slots=slots)
        return self.store.queue.claim([capacity], lease_until=now + LEASE, now=now).jobs

    def start(self) -> list[ClaimedJob]:
        """Claim all, accept all, and let Airflow know that they run, as their supervisors do."""
        jobs = self.claim()
        self.accept(*jobs)
        with create_session() as session:
            ids = [row.workload_id for row in self._rows(session, [job.id for job in jobs])]
            session.execute(
                update(TaskInstance)
                .where(TaskInstance.id.in_(ids))
                .values(state="running", last_heartbeat_at=datetime.now(UTC))
            )
        return jobs

    def accept(self, *jobs: ClaimedJob) -> None:
        self.store.jobs.settle(
            self.worker_id,
            [Accepted(job_id=str(job.id), assignment=job.assignment) for job in jobs],
            now=datetime.now(UTC),
        )

    def end(self, job: ClaimedJob, task_state: str | None = None, *, exit_code: int = 0) -> None:
        """End a job's process, with what its supervisor has told Airflow of the task before."""
        if task_state is not None:
            with create_session() as session:
                (row,) = self._rows(session, [job.id])
                self.set_task(row.workload_id, state=task_state)
        self.store.jobs.settle(
            self.worker_id,
            [Ended(job_id=str(job.id), assignment=job.assignment, exit_code=exit_code)],
            now=datetime.now(UTC),
        )

    def end_row(self, row: JobRow, task_state: str | None = None, *, exit_code: int = 0) -> None:
        """End the process of a job that is running."""
        if task_state is not None:
            self.set_task(row.workload_id, state=task_state)
        self.store.jobs.settle(self.worker_id, [ended_of(row, exit_code)], now=datetime.now(UTC))

    def set_task(self, ti_id: UUID, **values) -> None:
        with create_session() as session:
            session.execute(update(TaskInstance).where(TaskInstance.id == ti_id).values(**values))

    def clear(self, dag_id: str) -> None:
        """Clear all tasks of the Dag, as a person does in the UI."""
        with create_session() as session:
            clear_task_instances(
                list(session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag_id))), session
            )

    def callback(self, dag_id: str) -> UUID:
        """A callback of the Dag's run that is to run on an executor; its id."""
        with create_session() as session:
            callback = ExecutorCallback(SyncCallback("builtins.print"), CallbackFetchMethod.IMPORT_PATH)
            run_id = session.scalar(select(DagRun.id).where(DagRun.dag_id == dag_id))
            callback.data = {**callback.data, "dag_run_id": run_id, "dag_id": dag_id}
            callback.state = CallbackState.PENDING
            session.add(callback)
            session.flush()
            return callback.id

    def callback_state(self, callback_id: UUID) -> str | None:
        with create_session() as session:
            return session.scalar(select(Callback.state).where(Callback.id == callback_id))

    def tasks(self, dag_id: str) -> dict[str, str | None]:
        with create_session() as session:
            query = select(TaskInstance.task_id, TaskInstance.state).where(TaskInstance.dag_id == dag_id)
            return dict(session.execute(query).all())

    def task(self, dag_id: str) -> TaskInstance:
        """The only task instance of a run."""
        with create_session() as session:
            return session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag_id)).one()

    def jobs(self) -> list[JobRow]:
        with create_session() as session:
            return list(
                session.scalars(
                    select(JobRow)
                    .options(undefer(JobRow.log_path), undefer(JobRow.workload))
                    .order_by(JobRow.queued_at)
                )
            )

    def job(self, job_id: UUID) -> JobRow:
        (row,) = [row for row in self.jobs() if row.id == job_id]
        return row

    def forget(self, job_id: UUID) -> None:
        with create_session() as session:
            session.execute(delete(JobRow).where(JobRow.id == job_id))

    def enroll_worker(self, *, last_seen_at: datetime) -> None:
        with create_session() as session:
            session.add(
                WorkerRow(
                    id=self.worker_id,
                    name=str(self.worker_id),
                    public_key=b"k" * 32,
                    queues=["default"],
                    state=WorkerState.UNKNOWN,
                    concurrency=8,
                    enrolled_at=last_seen_at,
                    changed_at=last_seen_at,
                    last_seen_at=last_seen_at,
                    system={},
                )
            )

    def step_with_queue(self, scheduler: Scheduler, dag_id: str, queue: str) -> None:
        """A step of the scheduler with a task whose queue is named so: PostgreSQL would not keep such a name."""
        scheduler.schedule()
        ti = self.task(dag_id)
        scheduler.executor.running.clear()
        self.forget(self.jobs()[0].id)
        scheduler.executor._ledger = Ledger()
        with create_session() as session:
            ti = session.scalars(select(TaskInstance).where(TaskInstance.id == ti.id)).one()
            workload = ExecuteTask.make(ti)
            workload.ti.queue = queue
            scheduler.executor.queue_workload(workload, session)
        scheduler.heartbeat()

    def send_log(self, job: ClaimedJob, data: bytes) -> None:
        chunk = LogChunk(
            job_id=str(job.id),
            assignment=job.assignment,
            offset=0,
            size=len(data),
            crc32=zlib.crc32(data),
            data=zstd.compress(data),
        )
        progress = self.store.logs.append(self.worker_id, chunk, now=datetime.now(UTC))
        assert progress is not None
        assert progress.offset == len(data)

    def event_log(self, dag_id: str) -> str:
        with create_session() as session:
            return "\n".join(extra or "" for extra in session.scalars(select(Log.extra).where(Log.dag_id == dag_id)))

    def _rows(self, session, job_ids) -> list[JobRow]:
        return list(
            session.scalars(
                select(JobRow).options(undefer(JobRow.log_path), undefer(JobRow.workload)).where(JobRow.id.in_(job_ids))
            )
        )


def ended_of(row: JobRow, exit_code: int) -> Ended:
    return Ended(job_id=str(row.id), assignment=row.assignment, exit_code=exit_code)
