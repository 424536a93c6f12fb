"""What a worker's report about a job means, given what the store holds."""

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
