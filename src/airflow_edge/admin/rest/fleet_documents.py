"""The documents of the REST API about the fleet as a whole, its workers and its queues."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from airflow_edge.admin.rest.documents import Document
from airflow_edge.protocol.messages import MaintenanceCause
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.fleet.queues import QueueView
from airflow_edge.rules.fleet.remarks import Remark, Severity
from airflow_edge.rules.fleet.standing import Glance, Load, Reach, Stance
from airflow_edge.rules.metrics import MINUTES_PER_CHUNK, RESOLUTION, chart
from airflow_edge.rules.worker import trying
from airflow_edge.store.fleet.sheets import WorkerSheet

LONGEST_WITH_SPARKS: Final = 200
"""Workers in a list with what was measured of each minute by minute."""
MOST_SERVERS: Final = 10
"""Workers that are named of those that serve a queue."""

_FICKLE: Final = frozenset({"load", "free_slots"})
"""What changes with every word of a worker: a list in which nothing else has changed is the same list."""
_SPARKS: Final = {"cpu_percent": 1, "memory_percent": 1, "disk_free": None}
"""What is shown of the measurements beside a worker's name, and to how many digits."""
_DIGITS: Final = 32


class OtherInstanceDocument(Document):
    """Another machine that tries to use a worker's key, of which it has a copy, and is refused."""

    host_name: str
    address: str
    last_tried_at: datetime


class TaskAtWorkerDocument(Document):
    """A job that a worker has now; `map_index` is -1 for a task that is not mapped."""

    job_id: UUID
    kind: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    state: JobState
    started_at: datetime | None


class LatestDocument(Document):
    """What was measured last at a worker's machine; `disk_free` is bytes."""

    cpu_percent: float | None
    memory_percent: float | None
    disk_free: float | None


class SparkDocument(Document):
    """What was measured there in each of the last 15 whole minutes; null where nothing is known."""

    cpu_percent: list[float | None]
    memory_percent: list[float | None]
    disk_free: list[float | None]


class RemarkDocument(Document):
    """Something that somebody should look after: what it is, why, and what to do; empty for what goes without saying.

    The command is what is done where one does it.
    """

    kind: str
    severity: Severity
    sentence: str
    why: str
    advice: str
    command: str | None


class OrderWaitingDocument(Document):
    """What a worker was asked for and has not answered."""

    kind: str
    asked_by: str
    asked_at: datetime


class WorkerDocument(Document):
    """A worker; durations are in seconds.

    `link`, `stance` and `load` are facts that its `state` says in one word. `tasks` are the first 5 of its `jobs`.
    `host_name` and `address` are of the machine that uses its key, `other_instances` those that try to, the newest
    first. `trouble` is the first thing about it that somebody should look after; empty if there is none. In lists
    `last_seen_at` is null for one that is linked, `system` leaves out what changes all the time, and `spark` is null if
    there are more than 200.
    """

    id: UUID
    name: str
    state: WorkerState
    link: Reach
    stance: Stance
    load: Load
    attention: list[RemarkDocument]
    revoked: bool
    queues: list[str]
    team: str | None
    team_deleted: bool
    concurrency: int
    taken_slots: int
    free_slots: int
    jobs: int
    tasks: list[TaskAtWorkerDocument]
    maintenance_comment: str
    maintenance_cause: MaintenanceCause | None
    maintenance_until: datetime | None = None
    maintenance_by: str | None = None
    order_waiting: OrderWaitingDocument | None
    last_seen_at: datetime | None
    enrolled_at: datetime
    transport: str | None
    unreachable_since: datetime | None
    running_jobs_lost_after: datetime | None
    disconnect_grace: float | None
    trouble: str
    conditions: str
    warnings: str
    agent_version: str | None
    airflow_version: str | None
    python_version: str | None
    version_refused: str
    version_warning: str
    host_name: str | None
    address: str | None
    other_instances: list[OtherInstanceDocument]
    system: dict[str, str | int | float | bool]
    latest: LatestDocument | None
    spark: SparkDocument | None

    @classmethod
    def of(
        cls,
        sheet: WorkerSheet,
        described: Mapping[str, Any],
        remarks: Sequence[Remark],
        *,
        now: datetime,
        minute: int,
        sparks: bool,
    ) -> WorkerDocument:
        """Make it of what there is to say of a worker, for a list.

        :param minute: now, in minutes since 1970
        :param sparks: whether it says what was measured minute by minute
        """
        facts = _facts(sheet, described, remarks, now, minute, sparks=sparks)
        facts["system"] = {name: value for name, value in facts["system"].items() if name not in _FICKLE}
        if sheet.glance.link is Reach.LINKED:
            facts["last_seen_at"] = None
        return cls.model_validate(facts)


class OneWorkerDocument(WorkerDocument):
    """A worker, with who it is.

    `fingerprint` is the beginning of the SHA-256 of its public key; it serves those of its `allowed_queues` that it was
    started for (`asked_queues`, null for all), and its `added_queues`.
    """

    fingerprint: str
    instance: UUID | None
    enrolled_by: str | None
    enroll_token_id: UUID | None
    linked_at: datetime | None
    allowed_queues: list[str]
    asked_queues: list[str] | None
    added_queues: list[str]

    @classmethod
    def alone(
        cls, sheet: WorkerSheet, described: Mapping[str, Any], remarks: Sequence[Remark], *, now: datetime, minute: int
    ) -> OneWorkerDocument:
        """Make it of what there is to say of a worker."""
        worker = sheet.view.worker
        own = {
            "fingerprint": _fingerprint(worker.public_key),
            "instance": worker.instance,
            "enrolled_by": sheet.enrolled_by,
            "enroll_token_id": worker.enroll_token_id,
            "linked_at": worker.linked_at,
            "allowed_queues": list(worker.queues),
            "asked_queues": None if worker.asked_queues is None else list(worker.asked_queues),
            "added_queues": list(worker.added_queues),
        }
        return cls.model_validate(_facts(sheet, described, remarks, now, minute, sparks=True) | own)


class ServerDocument(Document):
    """A worker that serves a queue."""

    worker: str
    link: Reach
    stance: Stance
    free_slots: int


class UnreadyDocument(Document):
    """How many of the workers that serve a queue are given no jobs of it, by why; `closed` are those whose owner has
    closed it there."""

    maintenance: int
    out_of_reach: int
    held_back: int
    closed: int
    starting: int
    draining: int
    offline: int


class PausedDocument(Document):
    """Why a queue's jobs are not handed out, who has paused it, and since when."""

    note: str
    by: str
    since: datetime


class QueueDocument(Document):
    """A queue: what is wanted of it, and what there is to do it.

    `in_rate` and `out_rate` are the jobs a minute that came and ended within the last five whole minutes. `served_by`
    are the first 10 of its `workers`, those with most free slots first.
    """

    team_name: str | None
    queue: str
    queued: int
    running: int
    oldest_queued_at: datetime | None
    in_rate: float
    out_rate: float
    workers: int
    ready_workers: int
    free_slots: int
    slots: int
    served_by: list[ServerDocument]
    unready: UnreadyDocument
    paused: PausedDocument | None
    attention: RemarkDocument | None

    @classmethod
    def of(cls, queue: QueueView, remark: Remark | None) -> QueueDocument:
        """Make it of what there is to say of a queue."""
        own = {"served_by": [_server(worker) for worker in queue.served_by[:MOST_SERVERS]], "attention": remark}
        alike = {name: getattr(queue, name) for name in cls.model_fields if name not in own}
        return cls.model_validate(alike | own)


class WorkerCountsDocument(Document):
    """How many workers there are; each that is not revoked is in `total` and in one of the others but `busy`.

    Those that are `well` are linked and take jobs; `busy` are those that have some, also while they are out of reach.
    """

    total: int
    well: int
    busy: int
    maintenance: int
    draining: int
    held_back: int
    starting: int
    out_of_reach: int
    offline: int
    never_linked: int
    revoked: int


class SlotCountsDocument(Document):
    """The slots of workers that are linked or out of reach, those that jobs take, and those free for one now."""

    total: int
    taken: int
    free: int


class JobCountsDocument(Document):
    """How many jobs wait and run, and which has waited longest."""

    queued: int
    running: int
    oldest_queued_at: datetime | None
    oldest_queue: str | None


class RemedyDocument(Document):
    """Where on the page it is mended: a view, and what that is to show.

    `act` is what is to be done with the workers that are shown there; null if there is more to say than one act.
    """

    label: str
    view: str
    params: dict[str, str]
    act: str | None


class AttentionDocument(Document):
    """Something about the fleet that needs a person: what it is, why, and what to do about it.

    `count` is of workers, or of a queue's waiting jobs.
    """

    kind: str
    severity: Severity
    sentence: str
    why: str
    advice: str
    count: int
    since: datetime | None
    workers: list[str]
    queue: str | None
    team: str | None
    action: RemedyDocument
    command: str | None


class OverviewDocument(Document):
    """The fleet at a glance, and what of it needs a person, what is worst first."""

    workers: WorkerCountsDocument
    out_of_reach_since: datetime | None
    slots: SlotCountsDocument
    jobs: JobCountsDocument
    attention: list[AttentionDocument]


def _server(worker: Glance) -> ServerDocument:
    return ServerDocument(worker=worker.name, link=worker.link, stance=worker.stance, free_slots=worker.free_slots)


def _facts(
    sheet: WorkerSheet,
    described: Mapping[str, Any],
    remarks: Sequence[Remark],
    now: datetime,
    minute: int,
    *,
    sparks: bool,
) -> dict[str, Any]:
    worker, glance, order = sheet.view.worker, sheet.glance, sheet.order
    alike = {name: getattr(worker, name) for name in WorkerDocument.model_fields if hasattr(worker, name)}
    latest, spark = _measured(sheet, minute)
    grace = worker.disconnect_grace
    own = {
        "link": glance.link,
        "stance": glance.stance,
        "load": glance.load,
        "attention": [RemarkDocument.model_validate(one) for one in remarks],
        "tasks": [
            {name: getattr(task, "id" if name == "job_id" else name) for name in TaskAtWorkerDocument.model_fields}
            for task in sheet.tasks
        ],
        "order_waiting": order and OrderWaitingDocument.model_validate(order),
        "disconnect_grace": None if grace is None else grace.total_seconds(),
        "other_instances": [
            OtherInstanceDocument.model_validate(other) for other in trying(worker.other_instances, now)
        ],
        "latest": latest,
        "spark": spark if sparks else None,
        "system": dict(worker.system),
    }
    return alike | dict(described) | own


def _measured(sheet: WorkerSheet, minute: int) -> tuple[LatestDocument | None, SparkDocument]:
    """Give what was measured last and minute by minute, of the last minutes that are over."""
    since, until = (minute - MINUTES_PER_CHUNK) * RESOLUTION, minute * RESOLUTION
    found = chart(sheet.chunks, since=since, until=until).series
    series = {
        name: [None if value is None else round(value, digits) for value in found[name]]
        for name, digits in _SPARKS.items()
    }
    last = {name: _last(values) for name, values in series.items()}
    known = any(value is not None for value in last.values())
    return LatestDocument(**last) if known else None, SparkDocument(**series)


def _last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _fingerprint(public_key: bytes) -> str:
    digits = hashlib.sha256(public_key).hexdigest()[:_DIGITS]
    return ":".join(digits[start : start + 4] for start in range(0, _DIGITS, 4))
