"""What an executor tells the scheduler about a job that has ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from airflow_edge.protocol.states import JobState


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
