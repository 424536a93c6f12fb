"""What the REST API is asked for: the documents that wishes come in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, field_validator, model_validator

from airflow_edge.admin.rest.documents import NO_NUL, Document
from airflow_edge.protocol.messages import MOST_SLOTS
from airflow_edge.protocol.problems import QUEUE_NAME_RULE, WORKER_NAME, is_queue_name
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.durations import LONGEST
from airflow_edge.rules.fleet.choosing import WorkerFilter
from airflow_edge.rules.fleet.standing import Load, Reach, Stance
from airflow_edge.store.tables import MAX_QUEUE_LENGTH


def _queue_name(text: str) -> str:
    if not is_queue_name(text):
        raise ValueError(QUEUE_NAME_RULE)
    return text


NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""For whoever reads the document: `QUEUE_NAME_RULE` says it in words."""
Patterns = Annotated[list[Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]], Field(max_length=5000)]
Queue = Annotated[
    str,
    Field(min_length=1, max_length=MAX_QUEUE_LENGTH, json_schema_extra={"pattern": NO_CONTROLS}),
    AfterValidator(_queue_name),
]
Comment = Annotated[str, Field(min_length=1, max_length=4096, pattern=NO_NUL)]


class Match(Document):
    """A filter as of `GET /workers`; what is not given does not matter, and nothing given is every worker."""

    name: Annotated[str, Field(max_length=200, pattern=NO_NUL)] | None = None
    search: Annotated[str, Field(max_length=200, pattern=NO_NUL)] | None = None
    state: list[WorkerState] = Field(default_factory=list)
    link: list[Reach] = Field(default_factory=list)
    stance: list[Stance] = Field(default_factory=list)
    load: list[Load] = Field(default_factory=list)
    attention: Annotated[str, Field(max_length=32, pattern=NO_NUL)] | None = None
    queue: Annotated[str, Field(max_length=256, pattern=NO_NUL)] | None = None
    team: Annotated[str, Field(max_length=50, pattern=NO_NUL)] | None = None
    revoked: bool = True

    def filter(self, teams: frozenset[str] | None) -> WorkerFilter:
        """Give the filter of the fleet.

        :param teams: of one of these, or of none; None for any
        """
        return WorkerFilter(
            name_pattern=self.name,
            search=self.search,
            states=frozenset(self.state),
            links=frozenset(self.link),
            stances=frozenset(self.stance),
            loads=frozenset(self.load),
            attention=self.attention,
            queue=self.queue,
            team_name=self.team,
            teams=teams,
            revoked=self.revoked,
        )


class Selection(Document):
    """Workers by name, and those that fit `match`: one of both is needed.

    In names `*`, `?` and `[…]` stand for what they stand for in file names.
    """

    workers: Patterns = Field(default_factory=list)
    match: Match | None = None

    @model_validator(mode="after")
    def _are_some_meant(self) -> Self:
        if not self.workers and self.match is None:
            raise ValueError("say which workers are meant: `workers`, or `match`")
        return self


class WithComment(Selection):
    """Workers, and a comment on their maintenance."""

    comment: Comment


class WithMaintenance(WithComment):
    """Workers, a comment on their maintenance, and when it ends by itself; null for never."""

    until: AwareDatetime | None = None

    @field_validator("until")
    @classmethod
    def _is_to_come(cls, until: datetime | None) -> datetime | None:
        if until is not None and not timedelta(0) < until - datetime.now(UTC) <= LONGEST:
            raise ValueError(f"a maintenance ends in the future, within {LONGEST.days} days")
        return until


class WithConcurrency(Selection):
    """Workers, and their number of slots."""

    concurrency: Annotated[int, Field(ge=1, le=MOST_SLOTS)]


class WithQueues(Selection):
    """Workers and queues."""

    queues: Annotated[list[Queue], Field(min_length=1, max_length=1000)]


class WithPause(Document):
    """Queues of a team, or of none, and why they are paused."""

    queues: Annotated[list[Queue], Field(min_length=1, max_length=1000)]
    team: Annotated[str, Field(min_length=1, max_length=50, pattern=NO_NUL)] | None = None
    note: Annotated[str, Field(max_length=4096, pattern=NO_NUL)] = ""


class WithResumption(Document):
    """Queues of a team, or of none, that are paused."""

    queues: Annotated[list[Queue], Field(min_length=1, max_length=1000)]
    team: Annotated[str, Field(min_length=1, max_length=50, pattern=NO_NUL)] | None = None


class WithGrace(Selection):
    """Workers, and their own grace in seconds; null for what the settings say."""

    seconds: Annotated[float, Field(ge=0, le=LONGEST.total_seconds())] | None


class WithLines(Selection):
    """Workers, and what is wanted of their own logs; levels are those of Python's logging."""

    lines: Annotated[int, Field(ge=0, le=10_000)] = 100
    level: Annotated[int, Field(ge=0, le=100)] = 20
    continues: Annotated[
        UUID | None,
        Field(description="The `order_id` of a look at one worker's log that goes on: no `lines` from before"),
    ] = None


class WithToken(Document):
    """What an enrolment token is to open; times in seconds, no queues for Airflow's default one."""

    queues: list[Queue] = Field(default_factory=list, max_length=1000)
    team: Annotated[str, Field(min_length=1, max_length=50, pattern=NO_NUL)] | None = None
    name_pattern: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)] | None = None
    seconds: Annotated[int, Field(ge=1, le=3650 * 86_400)] = 3600
    uses: Annotated[int, Field(ge=1, le=999_999)] = 1
    max_slots: Annotated[int, Field(ge=1, le=MOST_SLOTS)] | None = None
    disconnect_grace: Annotated[float, Field(ge=0, le=LONGEST.total_seconds())] | None = None
    api_url: Annotated[str, Field(max_length=2000, pattern=NO_NUL)] | None = None


class WithName(Document):
    """A worker, and its new name."""

    worker: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
    name: Annotated[str, Field(pattern=WORKER_NAME)]
