"""What the next agent makes of jobs when more than the last agent is gone: the journal, or the machine's last boot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from airflow_edge.agent.events import JobRecord
from airflow_edge.agent.folders import JobFolders
from airflow_edge.protocol.local import Outcome
from airflow_edge.protocol.messages import Ended


def records_of_folders(folders: JobFolders) -> list[JobRecord]:
    """Give records of the jobs in the folders: each was taken, and perhaps started."""
    return [
        JobRecord(key=key, kind=job.kind, slots=_slots(job.workload))
        for key in folders.present()
        if (job := folders.read(key))
    ]


def ended_by_reboot(records: Iterable[JobRecord], folders: JobFolders) -> list[JobRecord]:
    """Give the records of these jobs after a reboot: no process is left, and what wrote no outcome is lost."""
    return [record if record.ended else _ended(record, folders.outcome(record.key)) for record in records]


def _ended(record: JobRecord, outcome: Outcome | None) -> JobRecord:
    reason = outcome.reason if outcome else "the machine was rebooted while it ran, and it left no outcome"
    ended = Ended(
        job_id=record.key.job_id,
        assignment=record.key.assignment,
        exit_code=outcome.exit_code if outcome else None,
        reason=reason,
    )
    return replace(record, phase="ended", ended=ended, acknowledged=record.void)


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
