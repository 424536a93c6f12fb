"""The folders of jobs, `jobs/<job id>.<assignment>/`: what the supervisor is told, and what it leaves behind."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import (
    JOB_FILE,
    LOG_FILE,
    OUTCOME_FILE,
    OUTCOME_RESERVE,
    OUTCOME_RESERVE_FILE,
    SUPERVISOR_LOG_FILE,
    SUPERVISOR_PID_FILE,
    JobFile,
    Outcome,
)
from airflow_edge.site.files import DamagedError, is_there, make_folder, read

log = logging.getLogger(__name__)

T = TypeVar("T")

_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9][0-9]{0,8})")
"""Others may put folders of theirs beside ours, with whatever names."""


class JobFolders:
    """All job folders of a worker; only this user may look into them."""

    def __init__(self, root: Path, keep: Callable[[Path], bool] = lambda folder: False) -> None:
        """:param keep: takes a finished job's folder away to keep its log; False if it did not"""
        self.root = root
        self._keep = keep
        make_folder(root)

    def folder(self, key: AssignmentKey) -> Path:
        """Give the job's folder, whether it is there or not."""
        return self.root / str(key)

    def log_file(self, key: AssignmentKey) -> Path:
        """Give the file that the task's log is written to."""
        return self.folder(key) / LOG_FILE

    def supervisor_log(self, key: AssignmentKey) -> Path:
        """Give the file for what the job's supervisor itself says: its standard output."""
        return self.folder(key) / SUPERVISOR_LOG_FILE

    def supervisor_pid(self, key: AssignmentKey) -> Path:
        """Give the file that the job's supervisor holds while it lives."""
        return self.folder(key) / SUPERVISOR_PID_FILE

    def write(self, job: JobFile) -> None:
        """Make the job's folder with its `job.json`, all or nothing.

        :raises OSError: the disk is full or damaged; nothing is left of the folder.
        """
        folder = self.folder(job.key)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            _write(folder / OUTCOME_RESERVE_FILE, bytes(OUTCOME_RESERVE))
            temporary = folder / f".{JOB_FILE}"
            _write(temporary, msgspec.json.encode(job))
            temporary.replace(folder / JOB_FILE)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def read(self, key: AssignmentKey) -> JobFile | None:
        """Give what the supervisor is told, or None if nothing is there that is understood.

        :raises OSError: it cannot be read now.
        """
        return _read(self.folder(key) / JOB_FILE, JobFile)

    def task_of(self, key: AssignmentKey) -> str:
        """Name Dag, run and task of a job, as far as its folder tells."""
        try:
            job = self.read(key)
            task = msgspec.json.decode(job.workload)["ti"] if job else {}
            index = task.get("map_index", -1)
            mapped = f"[{index}]" if index >= 0 else ""
            return f"{task['dag_id']}/{task['run_id']}/{task['task_id']}{mapped}"
        except (LookupError, TypeError, AttributeError, OSError, msgspec.MsgspecError):
            return "a callback, or a task of which nothing can be read"

    def stored_at(self, key: AssignmentKey) -> datetime | None:
        """Give when the job was taken, or None if its folder is gone."""
        try:
            return datetime.fromtimestamp((self.folder(key) / JOB_FILE).stat().st_mtime, UTC)
        except OSError:
            return None

    def was_started(self, key: AssignmentKey) -> bool:
        """Whether a runtime has begun with the job, or may have: only where nothing of a supervisor is there has none.

        :raises OSError: that cannot be known now.
        """
        return self.has_traces(key) or not is_there(self.folder(key))

    def has_traces(self, key: AssignmentKey) -> bool:
        """Whether anything of a supervisor of this job is there; one of its files may have been removed.

        :raises OSError: that cannot be known now.
        """
        return is_there(self.supervisor_log(key)) or is_there(self.supervisor_pid(key))

    def outcome(self, key: AssignmentKey) -> Outcome | None:
        """Give what the supervisor left behind, or None if it left nothing that is understood.

        :raises OSError: it cannot be read now; it may be there.
        """
        return _read(self.folder(key) / OUTCOME_FILE, Outcome)

    def make_startable(self, key: AssignmentKey) -> None:
        """Take away the traces of an attempt that has come to nothing, if that is what lies there.

        :raises OSError: that cannot be done now.
        """
        outcome = self.outcome(key)
        if outcome is not None and outcome.unbegun:
            # In this order: after a crash in between it is known from the outcome, and done again.
            self.supervisor_pid(key).unlink(missing_ok=True)
            self.supervisor_log(key).unlink(missing_ok=True)
            (self.folder(key) / OUTCOME_FILE).replace(self.folder(key) / OUTCOME_RESERVE_FILE)

    def put_away(self, key: AssignmentKey) -> None:
        """Let go of a finished job's folder: its log may be kept, the rest is deleted."""
        if not self._keep(self.folder(key)):
            self.remove(key)

    def remove(self, key: AssignmentKey) -> None:
        """Delete the job's folder."""
        folder = self.folder(key)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            log.warning("the folder %s of a finished job cannot be removed; remove it by hand", folder)

    def present(self) -> list[AssignmentKey]:
        """Give the keys of all folders that are there."""
        return [key for path in self.root.iterdir() if (key := _key(path.name)) and path.is_dir()]


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(content)


def _key(name: str) -> AssignmentKey | None:
    found = _NAME.fullmatch(name)
    return AssignmentKey(found[1], int(found[2])) if found else None


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return read(path, kind)
    except DamagedError as error:
        log.warning("%s is damaged: %s", path, error)
        return None
