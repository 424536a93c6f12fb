"""The jobs of a worker: what may happen to one in which order, what others ask about all, and offers that wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from msgspec.structs import replace

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.local import Outcome
from airflow_edge.protocol.messages import Accepted, Ended, HeldJob, Offer, Phase, Released, SiteMessage
from airflow_edge.protocol.states import next_state

ALIVE_FOR = 60.0
"""Seconds after its last sign of life for which a supervisor is reported as alive."""
MAX_REASON = 4096
"""Characters of a reason that the centre takes."""
_REMEMBERED_STEPS = 10


class Stage(StrEnum):
    """How far a job has come here: its `Phase`, and more exactly before it runs."""

    STORING = "being stored"
    STORED = "stored"
    """In the journal, and no runtime has begun it."""
    ORDERED = "ordered"
    """A runtime was told to start it, or the last agent may have told one."""
    RUNNING = "running"
    RELEASED = "released"
    ENDED = "ended"


class Step(StrEnum):
    """What happens to a job."""

    STORED = "is stored"
    ORDERED = "is ordered to start"
    UNSTARTED = "was never started"
    ALIVE = "is alive"
    STATE_TAKEN = "has its state taken"
    ENDED = "ends"


TRANSITIONS: Final[Mapping[Stage, Mapping[Step, Stage]]] = {
    Stage.STORING: {Step.STORED: Stage.STORED},
    Stage.STORED: {
        Step.ORDERED: Stage.ORDERED,
        Step.UNSTARTED: Stage.STORED,
        # By an order that an agent before this one gave.
        Step.ALIVE: Stage.RUNNING,
        Step.ENDED: Stage.ENDED,
    },
    Stage.ORDERED: {
        Step.UNSTARTED: Stage.STORED,
        Step.ALIVE: Stage.RUNNING,
        Step.ENDED: Stage.ENDED,
    },
    Stage.RUNNING: {
        Step.ALIVE: Stage.RUNNING,
        # Its supervisor had no process for the task.
        Step.UNSTARTED: Stage.STORED,
        Step.STATE_TAKEN: Stage.RELEASED,
        Step.ENDED: Stage.ENDED,
    },
    Stage.RELEASED: {
        Step.ALIVE: Stage.RELEASED,
        Step.STATE_TAKEN: Stage.RELEASED,
        Step.ENDED: Stage.ENDED,
    },
    Stage.ENDED: {},
}

PHASES: Final[Mapping[Stage, Phase]] = {
    Stage.STORING: "accepted",
    Stage.STORED: "accepted",
    Stage.ORDERED: "accepted",
    Stage.RUNNING: "running",
    Stage.RELEASED: "released",
    Stage.ENDED: "ended",
}
"""What the centre and the journal are told of a stage."""
_TAKEN_OVER_AS: Final[Mapping[Phase, Stage]] = {
    # The last agent may have told a runtime to start it.
    "accepted": Stage.ORDERED,
    "running": Stage.RUNNING,
    "released": Stage.RELEASED,
    "ended": Stage.ENDED,
}


@dataclass(slots=True, kw_only=True)
class Job:
    """What the core knows of a job: its record, and what is true only as long as this agent lives."""

    record: JobRecord
    stage: Stage = Stage.STORING
    taken_over: bool = False
    """An agent before this one has accepted it."""
    stop_sent_to: int = 0
    """Which connection to a runtime the order to stop it went to, by the core's count; 0 for none."""
    state_calls: int = 0
    """How many calls with the task's new state are on their way."""
    last_seen: float | None = None
    """When its supervisor last showed that it is alive."""
    steps: tuple[Step, ...] = ()
    """The last that it took, for a person."""

    @property
    def key(self) -> AssignmentKey:
        """Its name."""
        return self.record.key

    @property
    def live(self) -> bool:
        """Whether its process may still be there."""
        return self.stage is not Stage.ENDED

    def step(self, step: Step) -> None:
        """Go on to the next stage.

        :raises IllegalTransitionError: there is no such step; the job stays as it is.
        """
        try:
            stage = next_state(TRANSITIONS, self.stage, step)
        except IllegalTransitionError as error:
            before = ", ".join(self.steps) or "nothing"
            raise IllegalTransitionError(
                f"job {self.key}: {error}; before that it took these steps: {before}"
            ) from None
        if stage is not self.stage:
            self.steps = (*self.steps, step)[-_REMEMBERED_STEPS:]
            self.stage = stage
            self.change(phase=PHASES[stage])

    def change(self, **facts: Any) -> None:
        """Put these into its record."""
        self.record = replace(self.record, **facts)


class HeldJobs(dict[AssignmentKey, Job]):
    """The jobs of which the centre does not have everything yet. Only the core changes them."""

    def __init__(self, records: Iterable[JobRecord] = ()) -> None:
        """:param records: the unfinished jobs of the journal"""
        super().__init__(
            (record.key, Job(record=record, stage=_TAKEN_OVER_AS[record.phase], taken_over=True)) for record in records
        )

    @property
    def slots(self) -> int:
        """Slots that are taken."""
        return sum(job.record.slots for job in self.values() if job.stage not in {Stage.RELEASED, Stage.ENDED})

    def live(self) -> list[Job]:
        """Give the jobs whose processes are not gone."""
        return [job for job in self.values() if job.live]

    def unbegun(self) -> list[Job]:
        """Give the jobs that no runtime has begun, or was told to begin."""
        return [job for job in self.values() if job.stage is Stage.STORED]

    def begun(self, key: AssignmentKey) -> Job | None:
        """Give a job that is in the journal and has not ended; None if there is none."""
        job = self.get(key)
        return job if job and job.stage not in {Stage.STORING, Stage.ENDED} else None

    def others(self, key: AssignmentKey) -> list[Job]:
        """Give the live jobs of other assignments of the same job."""
        return [job for job in self.live() if job.key.job_id == key.job_id and job.key != key]

    def newest_assignment(self, job_id: str) -> int:
        """Give the highest assignment of a job that is here, 0 if none is."""
        return max((key.assignment for key in self if key.job_id == job_id), default=0)

    def held(self) -> tuple[HeldJob, ...]:
        """Give the jobs that this worker answers for, for `Hello`."""
        return tuple(
            HeldJob(**job.key._asdict(), phase=job.record.phase)
            for job in self.values()
            if job.stage is not Stage.STORING and not job.record.acknowledged and not job.record.void
        )

    def alive(self, now: float) -> tuple[str, ...]:
        """Give the ids of jobs whose supervisors are alive, for `Status`."""
        return tuple(
            job.key.job_id
            for job in self.live()
            if not job.record.void and job.last_seen is not None and now - job.last_seen <= ALIVE_FOR
        )

    def reports(self) -> list[SiteMessage]:
        """Give what is to be said about the jobs taken over from the journal: nobody knows how much of it was heard."""
        return [
            message
            for job in self.values()
            if not job.record.acknowledged and not job.record.void
            for message in story(job.record)
        ]


class WaitingOffers:
    """Offers that nobody has answered yet, at most one of each job: refused, they would come back at once."""

    def __init__(self) -> None:
        self._offers: dict[str, tuple[Offer, float]] = {}

    def add(self, offer: Offer, now: float) -> None:
        """Keep an offer until its lease runs out; it replaces an older one of its job."""
        self._offers[offer.job_id] = (offer, now + offer.lease)

    def newest_assignment(self, job_id: str) -> int:
        """Give the assignment of this job that waits, 0 if none does."""
        waiting = self._offers.get(job_id)
        return waiting[0].assignment if waiting else 0

    def drop(self, job_id: str) -> None:
        """Forget what waits of this job."""
        self._offers.pop(job_id, None)

    def withdraw(self, key: AssignmentKey) -> bool:
        """Forget exactly this offer, and say whether it waited."""
        waited = self.newest_assignment(key.job_id) == key.assignment
        if waited:
            self.drop(key.job_id)
        return waited

    def withdraw_all(self) -> list[AssignmentKey]:
        """Forget all, and say which waited."""
        keys = [offer.key for offer, _ in self._offers.values()]
        self._offers.clear()
        return keys

    def take(self, may_go: Callable[[AssignmentKey], bool], now: float) -> list[Offer]:
        """Give those that need not wait any longer; they, and those whose lease is over, do not wait here any more."""
        self._offers = {job_id: waiting for job_id, waiting in self._offers.items() if waiting[1] > now}
        ready = [offer for offer, _ in self._offers.values() if may_go(offer.key)]
        for offer in ready:
            self.drop(offer.job_id)
        return ready


def story(record: JobRecord) -> list[Accepted | Released | Ended]:
    """Say everything there is to say about a job so far."""
    messages: list[Accepted | Released | Ended] = [Accepted(**record.key._asdict())]
    if record.phase == "released":
        messages.append(Released(**record.key._asdict()))
    if record.ended is not None:
        messages.append(record.ended)
    return messages


def ending(
    key: AssignmentKey,
    outcome: Outcome | None = None,
    *,
    exit_code: int | None = None,
    signal: int | None = None,
    reason: str = "",
) -> Ended:
    """Say how a job has ended; what its supervisor left behind counts more than what was seen of its process."""
    if outcome is not None:
        exit_code, signal, reason = outcome.exit_code, None, outcome.reason
    return Ended(**key._asdict(), exit_code=exit_code, signal=signal, reason=reason[:MAX_REASON])
