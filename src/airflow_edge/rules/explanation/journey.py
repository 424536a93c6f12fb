"""A job's way to a worker and back, step by step: what became of each handing-out, as far as it is remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from airflow_edge.protocol.states import JobState
from airflow_edge.rules.overview import JobView

MOST_REMEMBERED: Final = 20
"""Handings-out of a job that came to nothing; older ones are forgotten."""

Undone: TypeAlias = Literal["refused", "expired", "taken back", "not begun"]
"""Why a job went back into the queue: its worker did not want it, did not answer in time, was revoked, or has
accepted it and done nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyStep:
    """Something that happened to a job."""

    at: datetime
    event: str
    text: str = ""
    worker: str | None = None
    assignment: int | None = None


def with_undone(
    past: Iterable[Mapping[str, Any]] | None,
    *,
    assignment: int,
    worker_id: UUID | None,
    offered_at: datetime | None,
    event: Undone,
    text: str,
    at: datetime,
) -> list[dict[str, Any]]:
    """Give what is remembered, as it is stored, with one more handing-out that came to nothing."""
    entry = {
        "assignment": assignment,
        "worker": str(worker_id) if worker_id else None,
        "offered_at": offered_at and offered_at.isoformat(),
        "event": event,
        "text": text,
        "at": at.isoformat(),
    }
    return [*map(dict, past or ()), entry][-MOST_REMEMBERED:]


def workers_of(past: Iterable[Mapping[str, Any]] | None) -> set[UUID]:
    """Give the workers that a job was handed to in vain."""
    return {UUID(entry["worker"]) for entry in past or () if entry["worker"]}


def journey(
    job: JobView, past: Sequence[Mapping[str, Any]] | None, names: Mapping[UUID, str], booked_at: datetime | None
) -> list[JourneyStep]:
    """Give the steps of a job's way so far.

    :param past: what is remembered of handings-out that came to nothing
    :param names: of the workers that had it then
    """
    waits_for = f"worker '{job.worker}'" if job.kind == "test" else f"queue '{job.queue}'"
    steps = [JourneyStep(at=job.queued_at, event="queued", text=f"for {waits_for}")]
    for entry in past or ():
        worker = None if entry["worker"] is None else names.get(UUID(entry["worker"]), entry["worker"])
        who = {"worker": worker, "assignment": entry["assignment"]}
        if entry["offered_at"]:
            steps.append(JourneyStep(at=datetime.fromisoformat(entry["offered_at"]), event="offered", **who))
        at = datetime.fromisoformat(entry["at"])
        steps.append(JourneyStep(at=at, event=entry["event"], text=entry["text"], **who))
    if job.state is not JobState.QUEUED:
        handed_out = bool(job.worker and job.assignment)
        who = {"worker": job.worker if handed_out else None, "assignment": job.assignment if handed_out else None}
        if job.offered_at is not None:
            steps.append(JourneyStep(at=job.offered_at, event="offered", **who))
        if job.started_at is not None:
            steps.append(JourneyStep(at=job.started_at, event="accepted", **who))
        if job.ended_at is not None:
            text = f"{job.state.value}{f': {job.reason}' if job.reason else ''}"
            steps.append(JourneyStep(at=job.ended_at, event="ended", text=text, **who))
        if booked_at is not None:
            steps.append(JourneyStep(at=booked_at, event="booked", text="the scheduler knows of the end"))
    return steps
