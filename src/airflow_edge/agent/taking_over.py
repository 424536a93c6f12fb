"""How an agent goes on with the jobs of the one before it: each by itself, so that what is damaged costs one job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.task_api.execution_api import ExecutionApi
from airflow_edge.agent.task_logs.shipper import LogShipper
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile
from airflow_edge.texts import counted

log = logging.getLogger(__name__)


def take_over(
    records: Sequence[JobRecord],
    folders: JobFolders,
    shipper: LogShipper,
    api: ExecutionApi,
    secret: Callable[[AssignmentKey], str],
    *,
    leaving: bool,
) -> None:
    """Ship their logs, let in their supervisors, and put away the folders of those that are finished.

    :param secret: gives what opens the Execution API for a job, where no older agent has written it to the job's file
    :param leaving: whether the worker was told to stop before
    """
    if records:
        log.info("going on with %s of the last agent", counted(len(records), "job"))
    if leaving:
        log.info("somebody has told this worker to stop: it takes no new jobs, and ends with its last one")
    wanted = {record.key for record in records}
    for key in folders.present():
        if key not in wanted:
            folders.put_away(key)
    for record in records:
        try:
            job = _job_file(folders, record.key)
            if not record.log_done:
                shipper.follow(record.key, folders.log_file(record.key), job.terms if job else None, fresh=False)
            api.admit((job.secret if job else "") or secret(record.key), record.key, job)
            if record.ended is not None:
                api.close(record.key)
                shipper.close(record.key)
        except Exception:
            # What cannot be done for one is no reason to leave the others.
            log.exception("job %s is not taken over as it should be", record.key)


def _job_file(folders: JobFolders, key: AssignmentKey) -> JobFile | None:
    try:
        return folders.read(key)
    except OSError as error:
        log.warning("the file of job %s cannot be read: %s", key, error)
        return None
