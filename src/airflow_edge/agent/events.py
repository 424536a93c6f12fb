"""The words of the agent's core: what happens (events), what is to be done (commands), what is remembered of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import msgspec

from airflow_edge.protocol.local import Outcome
from airflow_edge.protocol.messages import Ended, JobKind, MaintenanceCause, Offer, Order, Phase, SiteMessage


class Key(NamedTuple):
    """Names one handing-out of a job."""

    job_id: str
    assignment: int

    def __str__(self) -> str:
        return f"{self.job_id}.{self.assignment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job as the journal holds it.

    `ended` says how it ended; `acknowledged`, that the centre knows so, or need not know; `log_done`, that the rest of
    its log is of no concern any more. With both the job is finished: its folder is gone, and only the record is left,
    so that it is not started again.
    """

    key: Key
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


class Standing(msgspec.Struct, frozen=True, kw_only=True):
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
    """Somebody at the centre has told it to go, and it has not gone yet."""
    shut_down: str = ""
    """The id of the last order to shut down: one that comes again is not obeyed again."""
    restarted: str = ""
    """The id of the last order to restart: one that comes again is not obeyed again."""


# Events


@dataclass(frozen=True, slots=True)
class Offered:
    """The centre offers a job. `known` is what the journal holds under this key."""

    offer: Offer
    known: JobRecord | None


@dataclass(frozen=True, slots=True)
class Stored:
    """`Store` was carried out."""

    key: Key


@dataclass(frozen=True, slots=True)
class NotStored:
    """`Store` failed, and nothing is left of it."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The centre wants the job ended, and its end reported."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Voided:
    """The centre does not count with this assignment any more."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The centre has dealt with the job's `Ended`."""

    key: Key


@dataclass(frozen=True, slots=True)
class LogDone:
    """The centre has the whole log, or it was given up."""

    key: Key


@dataclass(frozen=True, slots=True)
class RuntimeReady:
    """The connection to a warm runtime stands.

    `alive` are the supervisors it has, `outcomes` what lies in the folders of other jobs, and `unstarted` the jobs
    which no runtime has ever begun.
    """

    alive: frozenset[Key]
    outcomes: Mapping[Key, Outcome]
    unstarted: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class RuntimeGone:
    """The connection to the runtime broke."""


@dataclass(frozen=True, slots=True)
class Started:
    """The job's supervisor was forked."""

    key: Key


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The job's supervisor could not be forked."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The job's supervisor is gone. `outcome` is what it left in its folder."""

    key: Key
    exit_code: int | None
    signal: int | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The job's supervisor showed that it is alive."""

    key: Key


@dataclass(frozen=True, slots=True)
class StateCallBegan:
    """The supervisor has sent a task's new state, which is on its way to the centre."""

    key: Key


@dataclass(frozen=True, slots=True)
class StateCallEnded:
    """That call is over; `passed` if the centre has taken the state."""

    key: Key
    passed: bool


@dataclass(frozen=True, slots=True)
class ConditionsFound:
    """Why no new job can be taken now; nothing if one can."""

    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatusFound:
    """The status of the machine has changed: a level of Python's logging, and what there is to say of it."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """The centre passes on what a person wants of the worker."""

    order: Order


@dataclass(frozen=True, slots=True)
class Named:
    """The centre calls the worker so."""

    name: str


@dataclass(frozen=True, slots=True)
class MaintenanceAsked:
    """Somebody at the site wants the worker in maintenance."""

    comment: str


@dataclass(frozen=True, slots=True)
class ExitAsked:
    """Somebody at the site wants the worker out of maintenance."""


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """Take no new job, and leave when the last one has ended."""


@dataclass(frozen=True, slots=True)
class TerminateAsked:
    """End the jobs and leave."""

    reason: str = "the worker was terminated"


Event: TypeAlias = (
    Offered
    | Stored
    | NotStored
    | StopAsked
    | Voided
    | Acknowledged
    | LogDone
    | RuntimeReady
    | RuntimeGone
    | Started
    | NotStarted
    | Exited
    | Seen
    | StateCallBegan
    | StateCallEnded
    | ConditionsFound
    | StatusFound
    | Ordered
    | Named
    | MaintenanceAsked
    | ExitAsked
    | DrainAsked
    | TerminateAsked
)


# Commands


@dataclass(frozen=True, slots=True)
class Store:
    """Write the job's folder and its first record, durably; answer with `Stored` or `NotStored`."""

    record: JobRecord
    offer: Offer


@dataclass(frozen=True, slots=True)
class Save:
    """Replace the job's record."""

    record: JobRecord


@dataclass(frozen=True, slots=True)
class Forget:
    """Save this last record, and delete the job's folder."""

    record: JobRecord


@dataclass(frozen=True, slots=True)
class Send:
    """Tell the centre."""

    message: SiteMessage


@dataclass(frozen=True, slots=True)
class Start:
    """Have the runtime start the job."""

    key: Key


@dataclass(frozen=True, slots=True)
class Halt:
    """Have the runtime end the job: SIGTERM to the task, later SIGKILL."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    """The job's process is gone for good: its calls are over, its log will not grow."""

    key: Key


@dataclass(frozen=True, slots=True)
class Announce:
    """The worker's state has changed: tell the centre now."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Keep this durably, in place of what was kept before."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Rename:
    """The worker has a new name."""

    name: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Replace the agent by a new one; jobs go on."""


Command: TypeAlias = Store | Save | Forget | Send | Start | Halt | Close | Announce | Stand | Rename | Restart
