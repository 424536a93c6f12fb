"""What a worker's report about a job means, given what the store holds, and what Airflow is told of a job's end."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from airflow_edge.protocol.messages import Accepted, Ended, Refused, Released
from airflow_edge.protocol.states import JOB_TRANSITIONS, JobEvent, JobState

Report = Accepted | Refused | Released | Ended


class Reading(StrEnum):
    """How a report is taken."""

    APPLY = "apply"
    """It changes the job."""
    OLD_NEWS = "old news"
    """It was known already: a message that came twice."""
    VOID = "void"
    """It is about an assignment that does not count any more; the worker has to be told."""


_OLD_NEWS: Final[dict[JobEvent, frozenset[JobState]]] = {
    JobEvent.ACCEPT: frozenset({JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED}),
    JobEvent.REFUSE: frozenset({JobState.QUEUED}),
    JobEvent.SUCCEED: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.LOST, JobState.CANCELLED}),
    JobEvent.FAIL: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.LOST, JobState.CANCELLED}),
}


def event_of(report: Report) -> JobEvent:
    """Give the event that a report stands for. `Released` counts as an acceptance: who is done has begun."""
    match report:
        case Accepted() | Released():
            return JobEvent.ACCEPT
        case Refused():
            return JobEvent.REFUSE
        case Ended():
            return JobEvent.SUCCEED if report.exit_code == 0 else JobEvent.FAIL


def denied(worker: str, reason: str) -> str:
    """Say for people that a worker has refused a job for good; `reason` is the site's, and has been cleaned."""
    return f"worker '{worker}' refused it {reason}"


def read(report: Report, *, state: JobState, assignment: int, same_worker: bool) -> Reading:
    """Say how to take a report about a job that is in `state` under `assignment`.

    :param same_worker: the job was last handed to the worker that reports
    """
    if report.assignment != assignment or not same_worker:
        return Reading.VOID
    event = event_of(report)
    if event in JOB_TRANSITIONS[state]:
        return Reading.APPLY
    return Reading.OLD_NEWS if state in _OLD_NEWS[event] else Reading.VOID


# What Airflow is told of an end


class Verdict(StrEnum):
    """The word for the scheduler."""

    SUCCESS = "success"
    FAILED = "failed"
    SILENCE = "silence"
    """Airflow has moved on by itself: a report could only disturb it."""


UNFINISHED: Final = frozenset({"queued", "running"})
"""A task instance in such a state still waits for its process."""
_MOVED_ON: Final = frozenset({"scheduled", "deferred", "up_for_reschedule"})


def task_verdict(job: JobState, task: str | None) -> Verdict:
    """Say what to report of a task, given how its job ended and the state in which Airflow holds the task instance.

    SUCCESS only when Airflow holds the outcome. Every other ending is FAILED, so that retries work: also a process
    that ended well and whose state never arrived. A task that is deferred or rescheduled, that Airflow has put back to
    `scheduled` since, or has forgotten, is none of this job's business any more: another scheduler may put it back
    between this verdict and its reading, and would then take a report for a failure.

    :param job: how the job ended
    :param task: the state of the task instance with the id that the job was made for; None if there is no such row
        any more, or it was cleared
    """
    if task is None or task in _MOVED_ON:
        return Verdict.SILENCE
    if task == "restarting":
        # Cleared while it ran: the scheduler waits for the word that it has ended, and then runs it again at once.
        return Verdict.SUCCESS
    if job is JobState.SUCCEEDED and task not in UNFINISHED:
        return Verdict.SUCCESS
    return Verdict.FAILED


def callback_verdict(job: JobState) -> Verdict:
    """Say what to report of a callback: its process's end is all there is."""
    return Verdict.SUCCESS if job is JobState.SUCCEEDED else Verdict.FAILED
