"""The words of the agent's core: what happens (events), what is to be done (commands), what is remembered of a job.

What the centre and the runtime say is an event just as they say it, and what they are to be told is a command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobNotStarted, JobStarted, Outcome, StartJob, StopJob
from airflow_edge.protocol.messages import (
    Accepted,
    Ended,
    JobKind,
    MaintenanceCause,
    Obeyed,
    Offer,
    Order,
    Phase,
    Refused,
    Released,
    Stop,
    Void,
    Welcome,
)


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the journal holds it.

    `ended` says how it ended; `acknowledged`, that the centre knows so, or need not know; `log_done`, that the rest of
    its log is of no concern any more. With both the job is finished: its folder is gone, and only the record is left,
    so that it is not started again.
    """

    key: AssignmentKey
    kind: JobKind
    slots: int
    phase: Phase = "accepted"
    stop_reason: str | None = None
    void: bool = False
    ended: Ended | None = None
    acknowledged: bool = False
    log_done: bool = False

    @property
    def finished(self) -> bool:
        return self.acknowledged and self.log_done


class Deadline(msgspec.Struct, frozen=True):
    """When a worker that was told to go ends the jobs that are left then."""

    at: float
    """Seconds since the epoch, by the site's clock."""
    seconds: float
    """How long that was when it was said."""


class DesiredState(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has made of the worker; it outlives the agent."""

    maintenance: str | None = None
    """The comment of the maintenance that the worker is in; None if it is in none."""
    cause: MaintenanceCause | None = None
    """Who put it there."""
    overruled: bool = False
    """A person has taken it out of maintenance though its status was a reason for one, and still is."""
    concurrency: int | None = None
    """Slots, in place of those of the configuration."""
    leaving: bool = False
    """A person has told it to go, and it has not gone yet."""
    deadline: Deadline | None = None
    """Until when its jobs may take then; None for as long as they do."""
    shut_down: str = ""
    """The id of the last order to shut down: one that comes again is not obeyed again."""
    restarted: str = ""
    """The id of the last order to restart: one that comes again is not obeyed again."""


# Events


class SiteEvent(msgspec.Struct, frozen=True):
    """What happens at the site, besides what the centre and the runtime say."""


class SiteJobEvent(SiteEvent, frozen=True):
    """What happens to a job at the site."""

    key: AssignmentKey


class WorkerEventAtSite(SiteEvent, frozen=True):
    """What happens to the worker as a whole, jobs aside."""


class OfferedAgain(SiteEvent, frozen=True):
    """The centre offers a job that the core does not have any more; the journal does."""

    record: JobRecord


class NotStored(SiteJobEvent, frozen=True):
    """A `StoreJob` could not be carried out, and nothing is left of it."""

    reason: str


class Acknowledged(SiteJobEvent, frozen=True):
    """The centre has dealt with the job's `Ended`."""


class LogDone(SiteJobEvent, frozen=True):
    """The centre has the whole log, or it was given up."""


class RuntimeReady(SiteEvent, frozen=True):
    """The connection to a warm runtime stands.

    `alive` are the supervisors it has, `outcomes` what lies in the folders of other jobs, and `unstarted` the jobs
    which no runtime has ever begun.
    """

    alive: frozenset[AssignmentKey]
    outcomes: Mapping[AssignmentKey, Outcome]
    unstarted: frozenset[AssignmentKey] = frozenset()


class RuntimeGone(SiteEvent, frozen=True):
    """The connection to the runtime broke."""


class Unbegun(SiteJobEvent, frozen=True):
    """The job's supervisor had no process for the task and has ended; nothing of the task has happened."""


class ProcessesBack(SiteEvent, frozen=True):
    """The machine has processes again for jobs that it could not start."""


class Exited(SiteJobEvent, frozen=True):
    """The job's supervisor is gone. `outcome` is what it left in its folder."""

    exit_code: int | None
    signal: int | None
    outcome: Outcome | None


class Seen(SiteJobEvent, frozen=True):
    """The job's supervisor showed that it is alive."""


class StateCallBegan(SiteJobEvent, frozen=True):
    """The supervisor has sent a task's new state, which is on its way to the centre."""


class StateCallEnded(SiteJobEvent, frozen=True):
    """That call is over; `passed` if the centre has taken the state."""

    passed: bool


class ConditionsFound(SiteEvent, frozen=True):
    """Why no new job can be taken now; nothing if one can."""

    conditions: tuple[str, ...]


class StatusFound(WorkerEventAtSite, frozen=True):
    """The status of the machine has changed: a level of Python's logging, and what there is to say of it."""

    status: int
    text: str


class MaintenanceAsked(WorkerEventAtSite, frozen=True):
    """Somebody at the site wants the worker in maintenance."""

    comment: str


class ExitAsked(WorkerEventAtSite, frozen=True):
    """Somebody at the site wants the worker out of maintenance."""


class TimePassed(SiteEvent, frozen=True):
    """The time has come that the core has said: see `Core.due`."""


class DrainAsked(WorkerEventAtSite, frozen=True):
    """This agent was told to take no new job, and to leave when the last one has ended."""


class StopAsked(WorkerEventAtSite, frozen=True):
    """Somebody at the site wants the same of the worker, whichever agent it has."""

    deadline: Deadline | None = None
    """None to leave it at what was said before."""


class TerminateAsked(SiteEvent, frozen=True):
    """End the jobs and leave."""

    reason: str = "the worker was terminated"


# Commands


class StoreJob(msgspec.Struct, frozen=True):
    """Write the job's folder and its first record, durably. Once it is carried out it comes back as an event."""

    record: JobRecord
    offer: Offer


class Save(msgspec.Struct, frozen=True):
    """Replace the job's record; with one that is finished, the job's folder goes too."""

    record: JobRecord


class Close(msgspec.Struct, frozen=True):
    """The job's process is gone for good: its calls are over, its log will not grow."""

    key: AssignmentKey


class Announce(msgspec.Struct, frozen=True):
    """The worker's state has changed: tell the centre now."""


class KeepDesired(msgspec.Struct, frozen=True):
    """Keep this durably, in place of what was kept before."""

    desired: DesiredState


class Rename(msgspec.Struct, frozen=True):
    """The worker has a new name."""

    name: str


class Restart(msgspec.Struct, frozen=True):
    """Replace the agent by a new one; jobs go on."""


ToCentre: TypeAlias = Accepted | Refused | Released | Ended | Obeyed
"""What the centre is told."""
Command: TypeAlias = StoreJob | Save | KeepDesired | ToCentre | StartJob | StopJob | Close | Announce | Rename | Restart

Event: TypeAlias = Offer | Stop | Void | Order | Welcome | StoreJob | JobStarted | JobNotStarted | SiteEvent
