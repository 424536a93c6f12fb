"""The documents about the policy."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from airflow_edge.admin.policy_text import LONGEST
from airflow_edge.admin.rest.documents import NO_NUL, Document

ModeName = Literal["off", "report", "enforce"]


class WithPolicy(Document):
    """A policy to put in force, as JSON, TOML or YAML, and why; `after` is the version that it was made from."""

    text: Annotated[str, Field(max_length=LONGEST, pattern=NO_NUL)]
    note: Annotated[str, Field(max_length=4096)] = ""
    after: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


class PolicyVersionDocument(Document):
    """Who has set a version of the policy, when, and why."""

    version: int
    note: str
    by: str
    at: datetime


class WhoseDocument(Document):
    """Whose calls a rule is about, by globs: all that is given has to match."""

    teams: list[str]
    queues: list[str]
    workers: list[str]
    dags: list[str]
    tasks: list[str]


class PolicyRuleDocument(Document):
    """One rule: who may have what, by grant and globs of names."""

    note: str
    who: WhoseDocument
    may: dict[str, list[str]]


class ShownPolicyDocument(Document):
    """A policy, as it was given, and what it says: by queue, and rule by rule.

    `version` is 0 where there never was one, and where `file` says where it stands instead of in the database; `error`
    says why it is not in force.
    """

    version: int
    text: str
    note: str
    by: str
    at: datetime | None
    file: str | None
    error: str
    modes: dict[str, ModeName]
    rules: int
    granting: list[PolicyRuleDocument]


class ModeChangeDocument(Document):
    """That another mode holds for a queue, or for a glob of queues of which none is known."""

    queue: str
    before: ModeName
    after: ModeName


class SetPolicyDocument(Document):
    """What came of the wish to set the policy, and what that says.

    `would` is what a dry run says, and then there is no `version` yet. `changes` are those of modes, what is less
    protected first; `unmatched` says which queues, teams, workers and Dags of it are about nothing that there is.
    """

    result: Literal["done", "would"]
    version: int | None
    modes: dict[str, ModeName]
    rules: int
    granting: list[PolicyRuleDocument]
    changes: list[ModeChangeDocument]
    unmatched: list[str]


class GrantingRuleDocument(Document):
    """A rule that grants it; the first one has number 1."""

    number: int
    note: str


class PolicyAnswerDocument(Document):
    """Whether a rule grants it, which ones do, and what comes of it on that queue.

    `remarks` say what of the question there is not.
    """

    granted: bool
    mode: ModeName
    rules: list[GrantingRuleDocument]
    sentence: str
    remarks: list[str]


class SuggestionDocument(Document):
    """The least policy, as YAML, for what was asked for; `unknown` are calls that no rule can grant.

    `left_out` uses are not in it: no rule granted them, and they were denied, or are on queues whose mode is `enforce`.
    """

    text: str
    uses: int
    unknown: list[str]
    left_out: int = 0


class PolicyUseDocument(Document):
    """How often a task has asked for something; `denied` counts what would have been denied, too, `refused` does not.

    `kind` is the grant that it needs, or `route` for a call that this version does not know.
    """

    team_name: str
    queue: str
    dag_id: str
    task_id: str
    kind: str
    name: str
    allowed: int
    denied: int
    refused: int = 0
    last_day: date
