"""A job as the core thinks of it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Accepted, Ended, JobKind, Phase, Released, SiteMessage


@dataclass(slots=True, kw_only=True)
class Job:
    """What the core knows of a job: its record, and what is true only as long as this agent lives."""

    key: AssignmentKey
    kind: JobKind
    slots: int
    phase: Phase = "accepted"
    stop_reason: str | None = None
    void: bool = False
    ended: Ended | None = None
    acknowledged: bool = False
    log_done: bool = False
    stored: bool = True
    start_sent: bool = True
    """The order to start it may have reached a runtime."""
    halt_sent: bool = False
    """The order to end it was sent to this runtime."""
    urgent: bool = False
    """It is to be ended whatever it is doing."""
    state_calls: int = 0
    """How many calls with the task's new state are on their way."""
    silent: bool = False
    """It was taken over, and its supervisor was not heard of since: it may be about to ask again for an answer that the
    last agent did not live to give it, that the task's state is taken for example."""
    last_seen: float | None = None
    """When its supervisor last showed that it is alive."""

    @classmethod
    def of(cls, record: JobRecord) -> Job:
        """Take a job over from the journal. What was sent to the runtime is not known; it may have been anything."""
        return cls(
            key=record.key,
            kind=record.kind,
            slots=record.slots,
            phase=record.phase,
            stop_reason=record.stop_reason,
            void=record.void,
            urgent=record.void,
            ended=record.ended,
            acknowledged=record.acknowledged,
            log_done=record.log_done,
            silent=record.kind == "task",
        )

    @property
    def live(self) -> bool:
        """Whether its process may still be there."""
        return self.phase != "ended"

    def record(self) -> JobRecord:
        """Give what the journal is to hold."""
        return JobRecord(
            key=self.key,
            kind=self.kind,
            slots=self.slots,
            phase=self.phase,
            stop_reason=self.stop_reason,
            void=self.void,
            ended=self.ended,
            acknowledged=self.acknowledged,
            log_done=self.log_done,
        )


def accepted(key: AssignmentKey) -> Accepted:
    """Say that the job was taken."""
    return Accepted(job_id=key.job_id, assignment=key.assignment)


def story(record: JobRecord) -> list[SiteMessage]:
    """Say everything there is to say about a job so far."""
    messages: list[SiteMessage] = [accepted(record.key)]
    if record.phase == "released":
        messages.append(Released(job_id=record.key.job_id, assignment=record.key.assignment))
    if record.ended is not None:
        messages.append(record.ended)
    return messages
