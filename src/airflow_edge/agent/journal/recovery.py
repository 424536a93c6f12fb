"""What the next agent makes of the last one's jobs, also when the journal, or the machine's last boot, is gone."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.core.jobs import ending
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.protocol.local import Outcome

log = logging.getLogger(__name__)


def recover(journal: Journal, folders: JobFolders, boot_id: str | None) -> list[JobRecord]:
    """Give the jobs that the last agent had, as they are now, and begin the journal anew with them.

    :param boot_id: names the boot of the machine that this is; None if that cannot be known
    """
    records = journal.unfinished
    if journal.damaged:
        records = records_of_folders(folders)
    if boot_id is not None and journal.boot_id() not in {None, boot_id}:
        log.warning("the machine was rebooted; %d jobs of before are over", sum(not one.ended for one in records))
        records = ended_by_reboot(records, folders)
    journal.write_with_reserve(records)
    journal.note_boot(boot_id)
    return records


def let_go(journal: Journal, folders: JobFolders) -> None:
    """Forget the jobs that came with a copied state folder: what becomes of them is another machine's to say."""
    for key in folders.present():
        folders.put_away(key)
    gone = [replace(record, void=True, acknowledged=True, log_done=True) for record in journal.unfinished]
    journal.write_with_reserve(gone)
    journal.unfinished = []
    if gone:
        log.warning("%d jobs in the copied journal are left to the machine that has them", len(gone))


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
    reason = "the machine was rebooted while it ran, and it left no outcome"
    return replace(record, phase="ended", ended=ending(record.key, outcome, reason=reason), acknowledged=record.void)


class _Task(msgspec.Struct):
    pool_slots: int = 1


class _Workload(msgspec.Struct):
    ti: _Task | None = None


def _slots(workload: str) -> int:
    try:
        task = msgspec.json.decode(workload, type=_Workload).ti
    except msgspec.MsgspecError:
        # Another version of Airflow may write it otherwise; the job goes on all the same.
        return 1
    return task.pool_slots if task else 1
