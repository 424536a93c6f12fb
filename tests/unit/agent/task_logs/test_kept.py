from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_edge.agent.task_logs.kept import ABOUT_FILE, About, Copies, Limits, about
from airflow_edge.protocol.local import JOB_FILE, LOG_FILE, SUPERVISOR_LOG_FILE, JobFile

LIMITS = Limits(max_age=3600, max_size=10_000_000, min_free=0)
ID = "00000000-0000-4000-8000-000000000001.2"
TI = {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": 3, "try_number": 2, "queue": "q"}


def job_folder(root: Path, workload: Any = None, name: str = ID, log: bytes | None = b"said\n") -> Path:
    folder = root / "jobs" / name
    folder.mkdir(parents=True)
    job = JobFile(
        job_id=name[:-2],
        assignment=2,
        kind="callback" if workload and "callback" in workload else "task",
        worker_name="press",
        workload=json.dumps({"ti": TI} if workload is None else workload),
        api_socket="/agent.sock",
        secret="the-secret-of-the-job",
        log_path="",
    )
    (folder / JOB_FILE).write_bytes(msgspec.json.encode(job))
    if log is not None:
        (folder / LOG_FILE).write_bytes(log)
    return folder


def test_a_finished_jobs_log_is_kept_without_what_is_secret(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "logs", LIMITS)
    folder = job_folder(tmp_path)
    inode = (folder / LOG_FILE).stat().st_ino
    assert copies.keep(folder)
    kept = tmp_path / "logs" / ID
    assert not folder.exists()
    assert (kept / LOG_FILE).read_bytes() == b"said\n"
    assert (kept / LOG_FILE).stat().st_ino == inode
    assert about(kept) == About(dag_id="dag", run_id="run", task_id="task", map_index=3, try_number=2)
    assert about(kept).name == "dag/run/task[3]"
    assert not any(b"the-secret-of-the-job" in path.read_bytes() for path in kept.iterdir())


@pytest.mark.parametrize(
    "hostile", ["../../../etc", "/etc/passwd", "..", "a/../../b", "\0", "a" * 5000, "\n", ".", "%2e%2e"]
)
def test_ids_from_outside_never_become_a_path(tmp_path: Path, hostile: str) -> None:
    copies = Copies(tmp_path / "logs", LIMITS)
    workload = {"ti": TI | {"dag_id": hostile, "run_id": hostile, "task_id": hostile}, "log_path": hostile}
    assert copies.keep(job_folder(tmp_path, workload))
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [ID]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "logs"]
    assert about(tmp_path / "logs" / ID).dag_id == hostile


@pytest.mark.parametrize(
    "workload", [[], "x", {"ti": 5}, {"ti": {"map_index": "many"}}, {"callback": []}, {"ti": None}]
)
def test_a_workload_of_another_shape_is_kept_without_a_name(tmp_path: Path, workload: Any) -> None:
    copies = Copies(tmp_path / "logs", LIMITS)
    assert copies.keep(job_folder(tmp_path, workload))
    assert about(tmp_path / "logs" / ID).task_id == ""


def test_a_callbacks_log_has_its_dags_name(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, {"callback": {"data": {"dag_id": "dag"}}})
    assert about(folder) == About(kind="callback", dag_id="dag")


def test_nothing_said_is_nothing_kept(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "logs", LIMITS)
    folder = job_folder(tmp_path, log=b"")
    assert not copies.keep(folder)
    (folder / SUPERVISOR_LOG_FILE).write_text("Traceback")
    assert copies.keep(folder)


@pytest.mark.parametrize(("max_age", "max_size"), [(0, 1), (1, 0)])
def test_whoever_wants_no_copies_has_none(tmp_path: Path, max_age: float, max_size: int) -> None:
    copies = Copies(tmp_path / "logs", Limits(max_age=max_age, max_size=max_size, min_free=0))
    folder = job_folder(tmp_path)
    assert not copies.keep(folder)
    assert folder.exists()


@pytest.mark.parametrize("step", ["described", "stripped", "target there"])
def test_what_a_crash_left_half_done_is_done_the_next_time(tmp_path: Path, step: str) -> None:
    copies = Copies(tmp_path / "logs", LIMITS)
    folder = job_folder(tmp_path)
    (folder / ABOUT_FILE).write_bytes(msgspec.json.encode(about(folder)))
    if step == "stripped":
        (folder / JOB_FILE).unlink()
    if step == "target there":
        shutil.copytree(folder, tmp_path / "logs" / ID)
    assert copies.keep(folder)
    assert sorted(path.name for path in (tmp_path / "logs" / ID).iterdir()) == [ABOUT_FILE, LOG_FILE]
    assert about(tmp_path / "logs" / ID).dag_id == "dag"


def test_the_oldest_copies_go_first(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "logs", Limits(max_age=3600, max_size=200_000, min_free=0))
    for number in range(5):
        name = f"00000000-0000-4000-8000-00000000000{number}.2"
        assert copies.keep(job_folder(tmp_path, name=name, log=b"x" * 60_000))
        age = 7200 if number == 4 else 100 - number
        kept = tmp_path / "logs" / name
        at = kept.stat().st_mtime - age
        os.utime(kept, (at, at))
    copies.prune()
    # The last one is too old, and the others are too many by at least one.
    left = sorted(int(path.name[-3]) for path in (tmp_path / "logs").iterdir())
    assert left in ([1, 2, 3], [2, 3])


def test_a_full_disk_takes_all_copies(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "logs", Limits(max_age=3600, max_size=10**9, min_free=2**60))
    assert copies.keep(job_folder(tmp_path))
    copies.prune()
    assert list((tmp_path / "logs").iterdir()) == []
