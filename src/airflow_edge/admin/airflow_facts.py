"""What Airflow knows of a task, for the explanation why it does not run."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from airflow.configuration import conf
from airflow.executors.executor_loader import ExecutorLoader
from airflow.jobs.job import Job
from airflow.models import DagModel, DagRun, Pool, TaskInstance
from airflow.models.dagbag import DBDagBag
from airflow.models.log import Log
from airflow.models.taskreschedule import TaskReschedule
from airflow.ti_deps.deps.ready_to_reschedule import ReadyToRescheduleDep
from airflow.utils.log.file_task_handler import FileTaskHandler
from airflow.utils.state import State
from sqlalchemy import and_, false, func, or_, select, true
from sqlalchemy.orm import Session

from airflow_edge.rules.explanation.facts import EDGE_EXECUTOR, TaskFacts

_OURS = "airflow_edge."
_STUCK = "stuck in queued tries exceeded"
"""Airflow's own word in its log of events (`scheduler_job_runner.py`)."""
_MOST_SLOTS = 2**31 - 1


def task_facts(session: Session, dag_id: str, run_id: str, task_id: str, map_index: int) -> TaskFacts | None:
    """Read what Airflow knows of a task instance; None if there is none."""
    task = _task(session, dag_id, run_id, task_id, map_index)
    run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    if task is None or run is None:
        return None
    pool = session.scalar(select(Pool).where(Pool.pool == task.pool))
    executor, free = _executor(session, task.executor)
    return TaskFacts(
        dag_id=dag_id,
        state=task.state,
        try_number=task.try_number,
        executor=executor,
        team_name=DagModel.get_team_name(dag_id, session=session) if conf.getboolean("core", "multi_team") else None,
        dag_paused=bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))),
        run_state=str(run.state),
        due_at=_due_at(session, task, run),
        upstream_waiting=_upstream_waiting(session, task, run) if task.state is None else 0,
        pool=task.pool,
        pool_slots=task.pool_slots,
        pool_free=0 if pool is None else int(min(pool.open_slots(session=session), _MOST_SLOTS)),
        executor_free=free,
        parallelism=conf.getint("core", "parallelism"),
        is_sensor=_is_sensor(session, task, run) if task.state == "up_for_reschedule" else None,
        host=task.hostname or "",
        tries_left=task.try_number <= task.max_tries,
        started_at=task.start_date,
        ended_at=task.end_date,
        given_up_in_queue=task.state in {"failed", "up_for_retry"} and _given_up(session, task),
        queued_timeout=conf.getfloat("scheduler", "task_queued_timeout"),
    )


def log_path(session: Session, dag_id: str, run_id: str, task_id: str, map_index: int) -> str | None:
    """Give where Airflow keeps the log of a task's newest try, relative to its folder of logs."""
    task = _task(session, dag_id, run_id, task_id, map_index)
    if task is None or task.try_number < 1:
        return None
    return FileTaskHandler("")._render_filename(task, task.try_number)


def version_of_task(session: Session, task_instance_id: UUID) -> tuple[UUID, str] | None:
    """Give the version of its Dag that a task instance runs, and its task's id; None if there is none."""
    query = select(TaskInstance.dag_version_id, TaskInstance.task_id).where(TaskInstance.id == task_instance_id)
    row = session.execute(query).one_or_none()
    return None if row is None or row[0] is None else (row[0], row[1])


def upstream_of(session: Session, dag_version_id: UUID, task_id: str) -> frozenset[str] | None:
    """Give the ids of all tasks before a task in a version of its Dag; None if Airflow does not have that."""
    dag = DBDagBag(load_op_links=False).get_dag(dag_version_id, session=session)
    if dag is None or not dag.has_task(task_id):
        return None
    return frozenset(dag.get_task(task_id).get_flat_relative_ids(upstream=True))


def _task(session: Session, dag_id: str, run_id: str, task_id: str, map_index: int) -> TaskInstance | None:
    return session.scalar(
        select(TaskInstance).where(
            TaskInstance.dag_id == dag_id,
            TaskInstance.run_id == run_id,
            TaskInstance.task_id == task_id,
            TaskInstance.map_index == map_index,
        )
    )


def _is_sensor(session: Session, task: TaskInstance, run: DagRun) -> bool | None:
    dag = DBDagBag(load_op_links=False).get_dag_for_run(run, session=session)
    if dag is None or not dag.has_task(task.task_id):
        return None
    operator = dag.get_task(task.task_id)
    # Of a task that is mapped, and of any other: that is how Airflow keeps it.
    kept = any(isinstance(dep, ReadyToRescheduleDep) for dep in operator.deps)
    return kept or bool(getattr(operator, "_is_sensor", False))


def _given_up(session: Session, task: TaskInstance) -> bool:
    """Say whether Airflow has noted of this try that it was stuck in the queue."""
    noted = select(func.count()).where(
        Log.event == _STUCK,
        Log.dag_id == task.dag_id,
        Log.run_id == task.run_id,
        Log.task_id == task.task_id,
        Log.map_index == task.map_index,
        Log.try_number == task.try_number,
    )
    return bool(session.scalar(noted))


def _executor(session: Session, name: str | None) -> tuple[str, int]:
    """Give the executor's name, ours by its own, and how many more tasks it may have."""
    default = ExecutorLoader.get_default_executor_name()
    known = ExecutorLoader.get_executor_names(validate_teams=False)
    found = next((one for one in known if name is not None and name in {one.alias, one.module_path}), None)
    found = found or next((one for one in known if name and one.module_path.endswith(f".{name}")), default)
    names = {found.alias, found.module_path, found.module_path.rpartition(".")[2]}
    its_own = or_(
        TaskInstance.executor.in_(names - {None}),
        and_(TaskInstance.executor.is_(None), true() if found == default else false()),
    )
    taken = session.scalar(
        select(func.count()).select_from(TaskInstance).where(TaskInstance.state.in_(("queued", "running")), its_own)
    )
    schedulers = session.scalar(
        select(func.count()).select_from(Job).where(Job.job_type == "SchedulerJob", Job.state == "running")
    )
    free = conf.getint("core", "parallelism") * max(1, schedulers or 0) - (taken or 0)
    ours = found.module_path.startswith(_OURS)
    return EDGE_EXECUTOR if ours else str(found.alias or found.module_path), free


def _due_at(session: Session, task: TaskInstance, run: DagRun) -> datetime | None:
    if task.state == "up_for_reschedule":
        return session.scalar(
            select(TaskReschedule.reschedule_date)
            .where(TaskReschedule.ti_id == task.id)
            .order_by(TaskReschedule.id.desc())
            .limit(1)
        )
    if task.state == "up_for_retry":
        dag = DBDagBag(load_op_links=False).get_dag_for_run(run, session=session)
        if dag is not None and dag.has_task(task.task_id):
            task.task = dag.get_task(task.task_id)
            due: datetime = task.next_retry_datetime()  # type: ignore[no-untyped-call]
            return due
    return None


def _upstream_waiting(session: Session, task: TaskInstance, run: DagRun) -> int:
    dag = DBDagBag(load_op_links=False).get_dag_for_run(run, session=session)
    if dag is None or not dag.has_task(task.task_id):
        return 0
    upstream = dag.get_task(task.task_id).upstream_task_ids
    waiting = (
        select(func.count())
        .select_from(TaskInstance)
        .where(
            TaskInstance.dag_id == task.dag_id,
            TaskInstance.run_id == task.run_id,
            TaskInstance.task_id.in_(upstream),
            TaskInstance.state.is_(None) | TaskInstance.state.not_in(State.finished),
        )
    )
    return session.scalar(waiting) or 0
