from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.core.jobs import Job, Stage
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.profile import describe
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile

KEY = AssignmentKey("00000000-0000-4000-8000-000000000001", 7)
JOB = Job(record=JobRecord(key=KEY, kind="task", slots=1, phase="running"), stage=Stage.RUNNING)
BARE = {"job_id": KEY.job_id, "assignment": 7, "phase": "running", "kind": "task"}


@pytest.fixture
def folders(tmp_path: Path) -> JobFolders:
    return JobFolders(tmp_path / "jobs")


def write(folders: JobFolders, workload: str) -> None:
    folders.write(
        JobFile(
            job_id=KEY.job_id,
            assignment=KEY.assignment,
            kind="task",
            worker_name="site",
            workload=workload,
            api_socket="/agent.sock",
            secret="s",
            log_path="/task.log",
        )
    )


def test_a_task_is_named_as_airflow_names_it(folders: JobFolders) -> None:
    ids = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 3, "try_number": 2}
    write(folders, json.dumps({"ti": {**ids, "pool_slots": 1}, "dag_rel_path": "d.py"}))
    described = describe(JOB, folders)
    since = datetime.fromisoformat(described.pop("since"))
    assert described == {**BARE, **ids}
    assert datetime.now(UTC) - since < timedelta(minutes=5)


@pytest.mark.parametrize("workload", ['{"callback": {}}', "not JSON", '{"ti": 7}'])
def test_what_is_no_task_or_cannot_be_read_is_shown_all_the_same(folders: JobFolders, workload: str) -> None:
    write(folders, workload)
    described = describe(JOB, folders)
    assert described.pop("since")
    assert described == BARE


def test_a_job_without_a_folder_is_shown_all_the_same(folders: JobFolders) -> None:
    assert describe(JOB, folders) == {**BARE, "since": None}
