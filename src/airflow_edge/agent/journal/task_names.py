"""The tasks of a worker as a person knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from airflow_edge.agent.core.job import Job
from airflow_edge.agent.journal.job_folders import JobFolders


class _Task(msgspec.Struct, frozen=True):
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 0


class _Workload(msgspec.Struct, frozen=True):
    ti: _Task | None = None


def describe(job: Job, folders: JobFolders) -> dict[str, Any]:
    """Give what `airflow-edge status` shows of a job: which task it is, as far as its folder says, and since when."""
    since = folders.stored_at(job.key)
    return {
        "job_id": job.key.job_id,
        "assignment": job.key.assignment,
        "phase": job.phase,
        "kind": job.kind,
        **_task(job, folders),
        "since": since and datetime.isoformat(since),
    }


def _task(job: Job, folders: JobFolders) -> dict[str, Any]:
    file = folders.read(job.key)
    try:
        workload = msgspec.json.decode(file.workload, type=_Workload) if file else _Workload()
    except msgspec.MsgspecError:
        # Another version of Airflow may write it otherwise; the job goes on all the same.
        return {}
    return msgspec.structs.asdict(workload.ti) if workload.ti else {}
