"""What a reader is told of a log that is not all there: how much of it has arrived, and what keeps the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.worker import Worker

_AWAY = frozenset({WorkerState.UNKNOWN, WorkerState.OFFLINE})
_KIB = 1024
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """What one assignment wrote of a log, and what there is to say about the rest of it."""

    id: UUID
    worker_name: str
    """Its id, if the worker itself is forgotten."""
    worker_state: WorkerState | None
    last_seen_at: datetime | None
    """When its worker was last heard from."""
    revoked: bool
    """Its worker was revoked."""
    job_state: JobState | None
    """None if the job is forgotten, or was handed out anew since."""
    created_at: datetime
    changed_at: datetime
    """When the last of it arrived."""
    size: int
    """Bytes that are here."""
    expected_size: int | None
    """Bytes that the site has, if it has said so: the job has ended there."""
    complete: bool
    """All of it is here and verified."""
    given_up_at: datetime | None = None
    """When the centre ceased to expect the rest. It is taken all the same, should it come."""
    purged_at: datetime | None = None
    """When its bytes were deleted because of their age (`[edge] log_retention`)."""


def missing(part: LogPart) -> str | None:
    """Say in one line what is missing of a log and why; None if nothing is, or if the task simply goes on writing.

    The text stays the same as long as nothing arrives.
    """
    if part.purged_at is not None:
        return f"This log was deleted at {_moment(part.purged_at)}, after [edge] log_retention"
    # Or the job went to another worker before this one had written anything.
    if part.complete or (part.size == 0 and part.job_state is None and not part.expected_size):
        return None
    worker = f"worker '{part.worker_name}'"
    if part.revoked or part.worker_state is None:
        why = "was revoked" if part.revoked else "is forgotten"
        return f"This log is incomplete: {worker} {why}, {_arrived(part)}"
    if part.worker_state in _AWAY:
        away = f"{worker} unreachable{_since(part.last_seen_at)}, {_arrived(part)}"
        return f"This log is incomplete: {away}" if part.given_up_at is not None else away.replace("w", "W", 1)
    if part.given_up_at is not None:
        return f"This log is incomplete: {worker} did not send the rest, {_arrived(part)}"
    if part.job_state is JobState.RUNNING and part.expected_size is None:
        return None
    return f"The rest of this log is still arriving from {worker}: {_amount(part)} so far"


def nothing_yet(worker: Worker) -> str:
    """Say why there is nothing at all of the log of a task that names this worker as its host."""
    if worker.revoked_at is not None:
        return f"There is no log: worker '{worker.name}' was revoked before anything of it had arrived"
    if worker.state in _AWAY:
        return f"Worker '{worker.name}' unreachable{_since(worker.last_seen_at)}, nothing of its log has arrived"
    return f"Nothing of this log has arrived from worker '{worker.name}' yet"


def refused_by(refusal: str) -> str:
    """Say that a worker's owner did not allow the task there."""
    return f"This task was not run there: {refusal}"


def origin(part: LogPart) -> str:
    """Say where a log is from and how much there is of it."""
    if part.purged_at is not None:
        # That it is gone is said below.
        return f"From edge worker '{part.worker_name}'"
    state = "complete" if part.complete else "so far"
    return f"From edge worker '{part.worker_name}': {_bytes(part.size)}, {state}"


def _arrived(part: LogPart) -> str:
    return f"{_amount(part)} of its log have arrived" if part.size else "nothing of its log has arrived"


def _amount(part: LogPart) -> str:
    return _bytes(part.size) if part.expected_size is None else f"{_bytes(part.size)} of {_bytes(part.expected_size)}"


def _bytes(count: int) -> str:
    if count < _KIB:
        return f"{count} byte{'' if count == 1 else 's'}"
    return f"{count / _KIB:.0f} KiB" if count < _MIB else f"{count / _MIB:.1f} MiB"


def _since(moment: datetime | None) -> str:
    return "" if moment is None else f" since {_moment(moment)}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
