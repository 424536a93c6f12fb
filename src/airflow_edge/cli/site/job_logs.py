"""The logs of jobs in the state folder: those of jobs under way, and the kept ones. No worker has to run."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass
from pathlib import Path

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import AgentError, unusable
from airflow_edge.agent.task_logs.kept import About, about
from airflow_edge.protocol.local import LOG_FILE, OUTCOME_FILE, SUPERVISOR_LOG_FILE

MOST_NAMED = 10


class UnknownJobError(AgentError):
    """No job here is meant, or several could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLog:
    """The log of one assignment of a job."""

    id: str
    """`<job id>.<assignment>`"""
    folder: Path
    about: About
    state: str
    """`waiting`, `running`, `delivering` (it has ended, and the centre does not have everything yet) or `kept`"""
    size: int
    """Bytes."""
    changed_at: float
    """When something was written last, in seconds since the epoch."""

    @property
    def log_file(self) -> Path:
        """What the task wrote; where it never came to that, what its supervisor had to say."""
        task, supervisor = self.folder / LOG_FILE, self.folder / SUPERVISOR_LOG_FILE
        return supervisor if self.state != "running" and not _size(task) and _size(supervisor) else task

    def ended(self) -> bool:
        """Whether nothing is added any more."""
        return self.state == "kept" or (self.folder / OUTCOME_FILE).exists() or not self.folder.exists()


def job_logs(config: Config) -> list[JobLog]:
    """Give all of them: first those under way, and among them the newest first."""
    found = [_under_way(folder) for folder in _folders(config.jobs_dir)]
    found += [_describe(folder, "kept") for folder in _folders(config.kept_logs_dir)]
    return sorted(found, key=lambda job: (job.state == "kept", job.state != "running", -job.changed_at, job.id))


def find(jobs: list[JobLog], wanted: str) -> JobLog:
    """Give the job that is meant: by its id, the beginning of that, or `dag/run/task` with `*` for whatever.

    Of several tries of one task the newest is meant.

    :raises UnknownJobError: there is none, or more than one.
    """
    found = [job for job in jobs if job.id == wanted] or [job for job in jobs if job.id.startswith(wanted)]
    found = found or [job for job in jobs if _matches(job.about.name, wanted)]
    if not found:
        raise UnknownJobError(
            f"no log of a job '{wanted}' is here; `airflow-edge logs` lists those that are ([edge] local_log_max_age "
            "and local_log_max_size say how long they are kept)"
        )
    tries_of_one_task = found[0].about.task_id and len({job.about.name for job in found}) == 1
    if len(found) > 1 and not tries_of_one_task:
        names = ", ".join(f"{job.id} ({job.about.name})" for job in found[:MOST_NAMED])
        raise UnknownJobError(f"'{wanted}' may be one of {len(found)} jobs; say more of its id: {names}")
    return max(found, key=lambda job: (job.about.try_number, job.changed_at))


def _matches(name: str, wanted: str) -> bool:
    return fnmatch.fnmatchcase(name, wanted) or fnmatch.fnmatchcase(name, f"{wanted}/*")


def _under_way(folder: Path) -> JobLog:
    if (folder / OUTCOME_FILE).exists():
        return _describe(folder, "delivering")
    return _describe(folder, "running" if (folder / SUPERVISOR_LOG_FILE).exists() else "waiting")


def _describe(folder: Path, state: str) -> JobLog:
    changed = [facts.st_mtime for name in (LOG_FILE, OUTCOME_FILE) if (facts := _facts(folder / name))]
    return JobLog(
        id=folder.name,
        folder=folder,
        about=about(folder),
        state=state,
        size=_size(folder / LOG_FILE),
        changed_at=max(changed, default=facts.st_mtime if (facts := _facts(folder)) else 0.0),
    )


def _folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            return [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unusable(root, error) from error


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _size(path: Path) -> int:
    facts = _facts(path)
    return facts.st_size if facts else 0
