"""What a job's task may ask of the centre: authority ends with its reason.

Before the task has begun it may only say that it begins: Airflow's own token of a queued task is good for no more.
After its state is set, or it was told to stop, it has as long as Airflow gives it to come to its end (callbacks,
listeners, links and mails come after the last state), and then only the word that ended it may be repeated.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from airflow_edge.protocol.messages import JobKind


class Authority(StrEnum):
    """How far a job's authority goes."""

    BEGIN = "begin"
    """To say that the task begins."""
    WHOLE = "whole"
    """To whatever Airflow allows the task, and a policy grants it."""
    REPEAT = "repeat"
    """To say once more which state the task has got."""
    NONE = "none"
    """To nothing."""


class Begun(Protocol):
    """What decides how far it goes: columns of a job's row."""

    @property
    def kind(self) -> JobKind: ...
    @property
    def begun_at(self) -> datetime | None:
        """When the centre was told that the task begins."""

    @property
    def calls_until(self) -> datetime | None:
        """Until when it may call; None while nothing has ended it."""


def authority(job: Begun, *, now: datetime) -> Authority:
    """Say how far a job's authority goes now."""
    match job.kind:
        case "test":
            return Authority.NONE
        case "task" if job.begun_at is None:
            return Authority.BEGIN
    return Authority.WHOLE if job.calls_until is None or now < job.calls_until else Authority.REPEAT
