"""Airflow's workloads as jobs, and back as the keys by which Airflow knows them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from airflow.executors import workloads
from airflow.executors.workloads import types
from airflow.models.callback import CallbackKey
from airflow.models.taskinstancekey import TaskInstanceKey

from airflow_edge.protocol.problems import is_queue_name
from airflow_edge.store.jobs.outbox import OwnedJob
from airflow_edge.store.tables import MAX_QUEUE_LENGTH, JobRow

if TYPE_CHECKING:
    from airflow.executors.workloads.types import WorkloadKey
    from airflow.models.taskinstance import TaskInstance

CALLBACK_PRIORITY: Final = 2**31 - 1
"""Callbacks go first, as in Airflow's own order: they complete what has already run."""

_TYPE: Final[Any] = getattr(workloads, "WorkloadType", None)
SUPPORTED: Final[frozenset[Any]] = frozenset({_TYPE.EXECUTE_TASK, _TYPE.EXECUTE_CALLBACK} if _TYPE else ())
"""The kinds that the executor runs, where Airflow wants them listed: from 3.4 on."""

_UUID_KEY: Final[Any] = vars(types).get("TaskInstanceUuid")
"""Airflow's name for one try of a task; before 3.4 it has none, and goes by where the task stands."""

Workload = workloads.ExecuteTask | workloads.ExecuteCallback


class UnfitWorkloadError(Exception):
    """A workload that cannot become a job; the text says what to change."""


def key_of(workload: Workload) -> WorkloadKey:
    """Give the key by which Airflow knows the workload: a plain id for a callback on Airflow 3.2."""
    return task_key(workload.ti) if isinstance(workload, workloads.ExecuteTask) else workload.callback.key


def task_key(ti: TaskInstance | workloads.TaskInstance) -> WorkloadKey:
    """Give the key by which Airflow knows a task instance."""
    key: WorkloadKey = _UUID_KEY(ti.id) if _UUID_KEY else ti.key
    return key


def is_of(key: WorkloadKey, ti: TaskInstance) -> bool:
    """Say whether a key is of this task instance; where keys have no try of their own, of any of its tries."""
    return key == task_key(ti) or getattr(key, "primary", None) == ti.key.primary


def key_of_owned(job: OwnedJob) -> WorkloadKey:
    """Give the key by which Airflow knows the workload of a job that somebody else queued."""
    if job.kind == "callback":
        return CallbackKey(str(job.workload_id))
    if _UUID_KEY:
        key: WorkloadKey = _UUID_KEY(job.workload_id)
        return key
    return TaskInstanceKey(
        dag_id=job.dag_id,
        task_id=job.task_id,
        run_id=job.run_id,
        try_number=job.try_number,
        map_index=job.map_index,
    )


def to_job(workload: Workload, *, owner: int | None, team_name: str | None, default_queue: str) -> JobRow:
    """Make a job of a workload, without its token: no secret is stored or sent to a site.

    :raises UnfitWorkloadError: the queue's name is too long.
    """
    new_job = partial(
        JobRow,
        id=uuid4(),
        team_name=team_name,
        owner=owner,
        log_path=workload.log_path or "",
        workload=workload.model_copy(update={"token": ""}).model_dump_json(),
    )
    if isinstance(workload, workloads.ExecuteCallback):
        return new_job(
            kind="callback",
            workload_id=UUID(workload.callback.id),
            dag_id=str(workload.callback.data.get("dag_id") or ""),
            task_id="",
            run_id="",
            map_index=-1,
            try_number=1,
            queue=default_queue,
            priority_weight=CALLBACK_PRIORITY,
            slots=1,
        )
    ti = workload.ti
    queue = ti.queue or default_queue
    if not is_queue_name(queue):
        raise UnfitWorkloadError(
            f"the name of the task's queue has {len(queue)} characters, at most {MAX_QUEUE_LENGTH} are possible, "
            f"none of them a control character; give the task another `queue` (it begins with {queue[:40]!a})"
        )
    return new_job(
        kind="task",
        workload_id=ti.id,
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=ti.map_index,
        try_number=ti.try_number,
        queue=queue,
        priority_weight=ti.priority_weight,
        slots=max(1, ti.pool_slots),
    )
