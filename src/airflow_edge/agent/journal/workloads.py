"""What a job's workload says of its task: as a person knows it, and what it takes."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_edge.agent.core.jobs import Job
from airflow_edge.agent.journal.job_folders import JobFolders


class _Task(msgspec.Struct, frozen=True):
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 0
    pool_slots: int = 1


class _Workload(msgspec.Struct, frozen=True):
    ti: _Task | None = None


def describe(job: Job, folders: JobFolders) -> dict[str, Any]:
    """Give what `airflow-edge status` shows of a job: which task it is, as far as its folder says, and since when."""
    since = folders.stored_at(job.key)
    file = folders.read(job.key)
    task = msgspec.structs.asdict(found) if file and (found := _task(file.workload)) else {}
    task.pop("pool_slots", None)
    return {
        "job_id": job.key.job_id,
        "assignment": job.key.assignment,
        "phase": job.record.phase,
        "kind": job.record.kind,
        **task,
        "since": since and since.isoformat(),
    }


def slots(workload: str) -> int:
    """Give how many slots a job takes."""
    task = _task(workload)
    return task.pool_slots if task else 1


def _task(workload: str) -> _Task | None:
    try:
        return msgspec.json.decode(workload, type=_Workload).ti
    except msgspec.MsgspecError:
        # Another version of Airflow may write it otherwise; the job goes on all the same.
        return None
