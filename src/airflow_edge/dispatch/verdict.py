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


_UNFINISHED: Final = frozenset({"queued", "running"})


def task_verdict(job: JobState, task: str | None) -> Verdict:
    """Say what to report of a task, given how its job ended and the state in which Airflow holds the task instance.

    SUCCESS only when Airflow holds the outcome. Every other ending is FAILED, so that retries work: also a process
    that ended well and whose state never arrived. A task that Airflow has put back to `scheduled` meanwhile (resumed
    after a deferral, rescheduled) or has forgotten is none of this job's business any more.

    :param job: how the job ended
    :param task: the state of the task instance with the id that the job was made for; None if there is no such row
        any more, or it was cleared
    """
    if task is None or task == "scheduled":
        return Verdict.SILENCE
    if task == "restarting":
        # Cleared while it ran: the scheduler waits for the word that it has ended, and then runs it again at once.
        return Verdict.SUCCESS
    if job is JobState.SUCCEEDED and task not in _UNFINISHED:
        return Verdict.SUCCESS
    return Verdict.FAILED


def callback_verdict(job: JobState) -> Verdict:
    """Say what to report of a callback: its process's end is all there is."""
    return Verdict.SUCCESS if job is JobState.SUCCEEDED else Verdict.FAILED
