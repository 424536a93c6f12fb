"""The documents of the REST API."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Generic, Literal, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from airflow_edge.admin.site_commands import site_commands
from airflow_edge.admin.tokens import NewToken, TokenState, token_state
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.orders import OrderState
from airflow_edge.store.workers.enrollment import EnrollToken

T = TypeVar("T")

NO_NUL: Final = r"^[^\x00]*$"
"""PostgreSQL has no such character."""


class Document(BaseModel):
    """Base of all documents; made from what the services give, too."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


class PageOf(Document, Generic[T]):
    """Some of what was found, and how many were found in all."""

    items: list[T]
    total: int


class JobDocument(Document):
    """A job: a task's try, a callback or a test on its way to a worker and back; `kind` says which.

    A test waits for one `worker`, and has no queue and no ids of Airflow's.
    """

    id: UUID
    kind: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    state: JobState
    queue: str
    team_name: str | None
    slots: int
    priority_weight: int
    assignment: int
    worker: str
    queued_at: datetime
    offered_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    signal: int | None
    reason: str
    task_state: str | None


class ExplanationDocument(Document):
    """Why a task is not running: a stable cause, and a sentence for a person.

    `denied` has a line for each thing that the policy has denied its newest try.
    """

    cause: str
    sentence: str
    denied: list[str] = []


class StepDocument(Document):
    """A step of a job's way: queued, offered, accepted, refused, expired, taken back, ended or booked."""

    at: datetime
    event: str
    text: str
    worker: str | None
    assignment: int | None


class OneJobDocument(JobDocument):
    """A job with its way so far, and while it is open with why it does not run, or what it does.

    `denied` has a line for each thing that the policy has denied it, also when it is over.
    `log` has the last lines of a test job's log, null of others: theirs is Airflow's to show.
    """

    journey: list[StepDocument]
    explanation: ExplanationDocument | None
    denied: list[str] = []
    log: list[str] | None = None


class MetricsDocument(Document):
    """A worker's measurements: for each time, in seconds since 1970, a value of every series, or null.

    `cpu_percent` and `memory_percent` are of the whole machine, `disk_free` is bytes where tasks write,
    `bytes_received` and `bytes_sent` are a second, `round_trip` is seconds, `reconnects` a number within `resolution`
    seconds; the others are means.
    """

    worker: str
    resolution: int
    times: tuple[int, ...]
    series: dict[str, tuple[float | None, ...]]


class OrderDocument(Document):
    """What a person wanted of a worker, and what became of it."""

    id: UUID
    kind: str
    text: str
    number: int | None
    asked_by: str
    asked_at: datetime
    state: OrderState
    detail: str
    finished_at: datetime | None


class EventDocument(Document):
    """Something that has happened to a worker; `by` is who wanted it, where somebody did."""

    id: int
    at: datetime
    kind: str
    text: str
    by: str | None


class OutcomeDocument(Document):
    """What came of a wish for one worker; while it waits for the worker, `order_id` is to be asked about.

    Of a test job that is `job_id`, at `/jobs/{job_id}`.

    `would` is what a dry run says of what would be done: `detail` has what happens to the tasks there.
    """

    worker: str
    result: Literal["done", "waiting", "refused", "would"]
    detail: str
    order_id: UUID | None
    job_id: UUID | None = None


class QueueOutcomeDocument(Document):
    """What came of a wish for one queue; `would` is what a dry run says."""

    queue: str
    team_name: str | None
    result: Literal["done", "would"]
    detail: str


class LogRecordDocument(Document):
    """A record of a worker's own log; `time` is by the site's clock."""

    time: datetime
    level: str
    source: str
    text: str


class WorkerLogDocument(Document):
    """What the centre has of a worker's own log, after some place.

    `lost` records did not get through; `next` is to be given as `after` for what comes later; `answers` are the
    requests whose past records are complete with this.
    """

    worker: str
    records: list[LogRecordDocument]
    lost: int
    answers: list[str]
    next: int


class TokenDocument(Document):
    """An enrolment token without its secret; `disconnect_grace`, in seconds, and `max_slots` are its workers' own.

    `uses` says for how many workers it was made; null for one of which that was not noted yet.
    """

    id: UUID
    state: TokenState
    queues: list[str]
    team: str | None
    name_pattern: str | None
    disconnect_grace: float | None
    max_slots: int | None
    uses: int | None
    uses_left: int
    expires_at: datetime
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, kept: EnrollToken, now: datetime, **more: object) -> Self:
        """Make it of what the store gives."""
        alike = {name: getattr(kept, name) for name in cls.model_fields if hasattr(kept, name)}
        grace = kept.disconnect_grace
        own = {
            "state": token_state(kept, now),
            "team": kept.team_name,
            "queues": list(kept.queues),
            "disconnect_grace": None if grace is None else grace.total_seconds(),
        }
        return cls.model_validate(alike | own | more)


class NewTokenDocument(TokenDocument):
    """A token that was just made, with its secret and the command for the site, which are not given again."""

    token: str
    command: str
    commands: dict[str, str]
    """All there is to type at the site, by how a worker is run there: `pip`, `systemd`."""

    @classmethod
    def made(cls, new: NewToken, now: datetime) -> NewTokenDocument:
        """Make it of a new one."""
        return cls.of(new.token, now, token=new.secret, command=new.command, commands=site_commands(new.command))


class EnrollAttemptDocument(Document):
    """A machine that wanted to become a worker of this name, and what it was told; `token_id` is that which it had."""

    at: datetime
    name: str
    token_id: UUID | None
    result: Literal["enrolled", "refused"]
    text: str


class ProblemDocument(Document):
    """The body of every error (RFC 9457 with a code); `detail` tells a person what to do."""

    status: int
    code: Literal["unauthenticated", "forbidden", "not_found", "method_not_allowed", "malformed", "not_ready"]
    title: str
    detail: str
