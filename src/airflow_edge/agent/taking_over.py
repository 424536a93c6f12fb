"""How an agent goes on with the jobs of the one before it: each by itself, so that what is damaged costs one job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.task_api.execution_api import ExecutionApi
from airflow_edge.agent.task_logs.shipper import LogShipper
from airflow_edge.protocol.assignment import AssignmentKey

log = logging.getLogger(__name__)


def take_over(
    records: Sequence[JobRecord],
    folders: JobFolders,
    shipper: LogShipper,
    api: ExecutionApi,
    secret: Callable[[AssignmentKey], str],
) -> None:
    """Ship their logs, let in their supervisors, and put away the folders of those that are finished.

    :param secret: gives what opens the Execution API for a job whose file cannot be read
    """
    wanted = {record.key for record in records}
    for key in folders.present():
        if key not in wanted:
            folders.put_away(key)
    for record in records:
        try:
            if not record.log_done:
                shipper.follow(record.key, folders.log_file(record.key), fresh=False)
            api.admit_with(_secret(folders, record.key) or secret(record.key), record.key)
            if record.ended is not None:
                api.close(record.key)
                shipper.close(record.key)
        except Exception:
            # What cannot be done for one is no reason to leave the others.
            log.exception("job %s is not taken over as it should be", record.key)


def _secret(folders: JobFolders, key: AssignmentKey) -> str | None:
    try:
        job = folders.read(key)
    except OSError as error:
        log.warning("the file of job %s cannot be read: %s", key, error)
        return None
    return job.secret if job else None
