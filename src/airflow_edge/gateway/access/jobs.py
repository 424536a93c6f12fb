"""For which job a call of the Execution API is made, and whether that may make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec
from starlette.datastructures import Headers

from airflow_edge.gateway.access.routes import NOT_FOR_TASKS, Repeat, begins, folder_of, repeat_of
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.http import ProblemError
from airflow_edge.gateway.task_api import TokenScope
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Assignment, JobId, JobKind
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.urls import JOB_HEADER
from airflow_edge.rules.authority import Authority, authority
from airflow_edge.store.jobs.authority import JobAuthority
from airflow_edge.store.jobs.jobs import AssignedJob, Jobs

BY_WORKLOAD: Final[dict[tuple[str, ...], JobKind]] = {
    ("task-instances",): "task",
    ("task-reschedules",): "task",
    ("hitlDetails",): "task",
    ("connection-tests",): "task",
    ("store", "ti"): "task",
    ("callbacks",): "callback",
}
"""Folders of the Execution API below which the next part of a path is the id that the call is about, and of what."""


class _JobName(msgspec.Struct):
    job_id: JobId
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class CallingJobs:
    """The jobs for which calls are made."""

    jobs: Jobs
    authority: JobAuthority
    calls: StoreCalls
    void: Callable[[UUID, AssignmentKey, str], None]
    """Tells a worker, if it is linked here, that an assignment does not count any more, and why."""
    time_to_end: timedelta
    """How long a task may still call after its last state."""

    async def confirm(self, worker_id: UUID, headers: Headers) -> AssignedJob:
        """Give the job that a call is made for.

        :raises ProblemError: it is not named, or not this worker's under this assignment.
        :raises StoreUnavailableError: the database failed.
        """
        name = _job_name(headers)
        job_id, now = UUID(name.job_id), datetime.now(UTC)
        job = await self.calls.run(self.jobs.confirm, worker_id, job_id, name.assignment, now=now)
        if job is None:
            raise self._not_theirs(worker_id, AssignmentKey(name.job_id, name.assignment))
        return job

    async def begin(self, job: AssignedJob) -> None:
        """Note that its task runs, as Airflow knows: from here on it may call.

        :raises ProblemError: the job was given to another worker meanwhile.
        :raises StoreUnavailableError: the database failed.
        """
        if job.begun_at is None:
            now = datetime.now(UTC)
            if not await self.calls.run(self.authority.begin, job.id, job.assignment, now=now):
                raise self._not_theirs(job.worker_id, job.key)

    async def close(self, job: AssignedJob) -> None:
        """Note that Airflow knows its task's state: it may call until it has come to its end, and no longer.

        :raises StoreUnavailableError: the database failed.
        """
        if job.calls_until is None:
            until = datetime.now(UTC) + self.time_to_end
            await self.calls.run(self.authority.close, {job.id: job.assignment}, until=until, released=True)

    def _not_theirs(self, worker_id: UUID, key: AssignmentKey) -> ProblemError:
        reason = "the job was given to another worker, or has ended at the centre"
        self.void(worker_id, key, reason)
        return ProblemError(
            HTTPStatus.CONFLICT,
            Code.NOT_YOURS,
            f"This worker does not hold job {key.job_id} under assignment {key.assignment}: {reason}.",
        )


def check_call(job: AssignedJob, method: str, path: str) -> None:
    """Refuse what a job may not call at all, or not now.

    :param path: below the Execution API, decoded
    :raises ProblemError: which says why.
    """
    if folder_of(path) in NOT_FOR_TASKS:
        raise ProblemError(HTTPStatus.FORBIDDEN, Code.NOT_YOURS, f"No job may call {path}: it is not for tasks.")
    _check_authority(job, method, path)
    _check_path(job, method, path)


def scope_of(job: AssignedJob, path: str) -> TokenScope:
    if path.startswith("/callbacks/"):
        return "callback"
    return "workload" if job.kind == "task" and job.begun_at is None else "execution"


def _check_authority(job: AssignedJob, method: str, path: str) -> None:
    """Refuse what the job has no reason for yet, or any more."""
    match authority(job, now=datetime.now(UTC)):
        case Authority.BEGIN if not begins(method, path):
            why = "its task has not begun: until Airflow has been told so, it may call nothing else"
        case Authority.REPEAT if repeat_of(method, path) is not Repeat.STATE:
            why = "its task has ended: Airflow knows its state, and the time for what comes after is over"
        case Authority.NONE:
            why = "it is a test job, which has no task"
        case _:
            return
    raise ProblemError(HTTPStatus.FORBIDDEN, Code.NOT_YOURS, f"Job {job.id} may not call {path}: {why}.")


def _check_path(job: AssignedJob, method: str, path: str) -> None:
    """Refuse what concerns another task.

    Airflow itself compares some of these ids with the token; which XComs, variables and connections a task may reach is
    left to it entirely.
    """
    parts = path.split("/")[1:]
    for folder, kind in BY_WORKLOAD.items():
        if tuple(parts[: len(folder)]) != folder:
            continue
        try:
            allowed = job.kind == kind and UUID(parts[len(folder)]) == job.workload_id
        except (ValueError, IndexError):
            # Not about one task: counts and states that tasks may ask for.
            allowed = job.kind == kind and method == "GET"
        if not allowed:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                Code.NOT_YOURS,
                f"Job {job.id} may not call {path}: it concerns another task.",
            )


def _job_name(headers: Headers) -> _JobName:
    job_id, _, assignment = headers.get(JOB_HEADER, "").partition(":")
    try:
        return msgspec.convert({"job_id": job_id, "assignment": assignment}, _JobName, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            Code.MALFORMED,
            f"The header {JOB_HEADER} has to name the job that the call is made for: <job id>:<assignment>.",
        ) from error
