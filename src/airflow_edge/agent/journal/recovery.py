"""What the next agent makes of the last one's jobs, also when the journal, or the machine's last boot, is gone."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.core.jobs import ending
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.site.files import DamagedError, decode
from airflow_edge.site.processes import holder
from airflow_edge.texts import counted

log = logging.getLogger(__name__)


def recover(journal: Journal, folders: JobFolders, boot_id: str | None) -> list[JobRecord]:
    """Give the jobs that the last agent had, as they are now, and begin the journal anew with them.

    A folder of which the journal knows nothing is a job, too: the journal may have been lost, or may be an older copy.

    :param boot_id: names the boot of the machine that this is; None if that cannot be known
    """
    records = journal.unfinished
    unknown = [key for key in folders.present() if not _knows(journal, key)]
    if unknown:
        log.warning(
            "the journal knows nothing of %s in %s; each is recovered from its folder",
            counted(len(unknown), "job"),
            folders.root,
        )
        records = [*records, *(record_of_folder(folders, key) for key in unknown)]
    if boot_id is not None and journal.boot_id() not in {None, boot_id}:
        before, records = records, ended_by_reboot(records, folders)
        over = sum(one.ended is None for one in before) - sum(one.ended is None for one in records)
        log.warning("the machine was rebooted, which has ended %s", counted(over, "job"))
    try:
        journal.note_boot(boot_id, records)
    except sqlite3.Error as error:
        # What runs goes on; the driver writes this when it can.
        log.error("the journal cannot be written: %s", error)
        journal.owed = list(records)
    return records


def let_go(journal: Journal, folders: JobFolders) -> None:
    """Forget the jobs that came with a copied state folder: what becomes of them is another machine's to say."""
    for key in folders.present():
        folders.put_away(key)
    gone = [replace(record, void=True, acknowledged=True, log_done=True) for record in journal.unfinished]
    journal.write_with_reserve(gone)
    journal.unfinished = []
    if gone:
        log.warning("left to the machine that has them: %s in the copied journal", counted(len(gone), "job"))


def _knows(journal: Journal, key: AssignmentKey) -> bool:
    try:
        return journal.find(key) is not None
    except (sqlite3.Error, DamagedError, OverflowError) as error:
        log.warning("what the journal has of job %s is damaged: %s", key, error)
        return False


def record_of_folder(folders: JobFolders, key: AssignmentKey) -> JobRecord:
    """Give a record of the job in a folder: it was taken, and perhaps started.

    Where its own file cannot be read, it is still known what it is called, and whoever runs it can be asked.
    """
    try:
        job = folders.read(key)
    except OSError as error:
        log.warning("the file of job %s cannot be read: %s", key, error)
        job = None
    return JobRecord(key=key, kind=job.kind if job else "task", slots=_slots(job.workload) if job else 1)


def ended_by_reboot(records: Iterable[JobRecord], folders: JobFolders) -> list[JobRecord]:
    """Give the records of these jobs after a reboot: no process is left, and what wrote no outcome is lost."""
    return [record if record.ended else _ended(record, folders) for record in records]


def _ended(record: JobRecord, folders: JobFolders) -> JobRecord:
    try:
        outcome = folders.outcome(record.key)
        if _lives(folders, record.key):
            # There was no reboot; what the journal has of it is damaged.
            return record
    except OSError:
        # It is read when that can be, after the runtime was asked.
        return record
    reason = "the machine was rebooted while it ran, and it left no outcome"
    return replace(record, phase="ended", ended=ending(record.key, outcome, reason=reason), acknowledged=record.void)


def _lives(folders: JobFolders, key: AssignmentKey) -> bool:
    try:
        return holder(folders.supervisor_pid(key)) is not None
    except FileNotFoundError:
        return False


class _Task(msgspec.Struct):
    pool_slots: int = 1


class _Workload(msgspec.Struct):
    ti: _Task | None = None


def _slots(workload: str) -> int:
    try:
        task = decode(workload, _Workload).ti
    except DamagedError:
        # Another version of Airflow may write it otherwise; the job goes on all the same.
        return 1
    return task.pool_slots if task else 1
