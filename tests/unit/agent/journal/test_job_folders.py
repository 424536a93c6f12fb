from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.agent.journal.recovery import ended_by_reboot, record_of_folder, recover
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile, Outcome
from harness.processes import without_descriptors

KEY = AssignmentKey("00000000-0000-4000-8000-000000000001", 7)


def job_file(workload: str = "{}") -> JobFile:
    return JobFile(
        job_id=KEY.job_id,
        assignment=KEY.assignment,
        kind="task",
        worker_name="site",
        workload=workload,
        api_socket="/agent.sock",
        secret="s",
        log_path="/task.log",
    )


@pytest.fixture
def folders(tmp_path: Path) -> JobFolders:
    return JobFolders(tmp_path / "jobs")


def test_a_job_is_for_this_user_only(folders: JobFolders) -> None:
    folders.write(job_file())
    assert folders.read(KEY) == job_file()
    assert folders.present() == [KEY]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folders.root.rglob("*")}
    assert modes == {str(KEY): 0o700, "job.json": 0o600, "outcome.json.new": 0o600}
    assert stat.S_IMODE(folders.root.stat().st_mode) == 0o700


def test_an_outcome_is_read_where_there_is_one(folders: JobFolders) -> None:
    folders.write(job_file())
    assert folders.outcome(KEY) is None
    outcome = Outcome(job_id=KEY.job_id, assignment=KEY.assignment, exit_code=1, reason="why")
    file = folders.folder(KEY) / "outcome.json"
    file.write_bytes(msgspec.json.encode(outcome))
    assert folders.outcome(KEY) == outcome
    with without_descriptors(), pytest.raises(OSError):
        folders.outcome(KEY)
    assert folders.outcome(KEY) == outcome
    file.write_bytes(b"{")
    assert folders.outcome(KEY) is None


def test_what_boot_this_is_has_to_be_known_for_another_one(folders: JobFolders, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    folders.write(job_file())
    Journal(path).write([JobRecord(key=KEY, kind="task", slots=1)])
    first, second, third = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2, 3))
    for boot_id, over in ((first, False), (None, False), (second, False), (third, True)):
        (record,) = recover(Journal(path), folders, boot_id)
        assert (record.ended is not None) == over, boot_id


def test_only_its_own_folder_says_that_a_job_was_never_begun(folders: JobFolders) -> None:
    assert folders.was_started(KEY)
    folders.write(job_file())
    assert not folders.was_started(KEY)
    # One of both may have been removed.
    for left in (folders.supervisor_log(KEY), folders.supervisor_pid(KEY)):
        left.touch()
        assert folders.was_started(KEY)
        left.unlink()


def test_nothing_is_left_of_a_job_that_could_not_be_written(folders: JobFolders) -> None:
    # Something is in the way of the file.
    (folders.folder(KEY) / "job.json" / "x").mkdir(parents=True)
    with pytest.raises(OSError):
        folders.write(job_file())
    assert folders.present() == []


def test_a_removed_job_is_gone(folders: JobFolders) -> None:
    folders.write(job_file())
    folders.remove(KEY)
    folders.remove(KEY)
    assert folders.present() == []


def test_other_files_are_no_jobs(folders: JobFolders) -> None:
    (folders.root / "notes").mkdir()
    (folders.root / "a.b").mkdir()
    assert folders.present() == []


def test_no_job_of_before_outlives_a_reboot(folders: JobFolders) -> None:
    running = JobRecord(key=KEY, kind="task", slots=1, phase="running")
    (after,) = ended_by_reboot([running], folders)
    assert after.ended is not None
    assert (after.phase, after.ended.exit_code, after.acknowledged) == ("ended", None, False)
    assert "rebooted" in after.ended.reason
    assert ended_by_reboot([after], folders) == [after]
    (void,) = ended_by_reboot([replace(running, void=True)], folders)
    assert void.acknowledged


@pytest.mark.parametrize(
    ("workload", "slots"), [('{"ti": {"pool_slots": 3}}', 3), ('{"callback": {}}', 1), ("not JSON", 1)]
)
def test_records_are_made_up_from_folders(folders: JobFolders, workload: str, slots: int) -> None:
    folders.write(job_file(workload))
    assert record_of_folder(folders, KEY) == JobRecord(key=KEY, kind="task", slots=slots)
