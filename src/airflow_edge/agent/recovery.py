"""What can be made up for a journal that was lost."""

from __future__ import annotations

import msgspec

from airflow_edge.agent.events import JobRecord
from airflow_edge.agent.folders import JobFolders


def records_of_folders(folders: JobFolders) -> list[JobRecord]:
    """Give records of the jobs in the folders: each was taken, and perhaps started."""
    return [
        JobRecord(key=key, kind=job.kind, slots=_slots(job.workload))
        for key in folders.present()
        if (job := folders.read(key))
    ]


class _TaskInstance(msgspec.Struct):
    pool_slots: int = 1


class _Workload(msgspec.Struct):
    ti: _TaskInstance | None = None


def _slots(workload: str) -> int:
    try:
        instance = msgspec.json.decode(workload, type=_Workload).ti
    except msgspec.MsgspecError:
        return 1
    return instance.pool_slots if instance else 1
