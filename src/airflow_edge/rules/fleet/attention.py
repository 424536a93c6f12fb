"""What needs a person in the whole fleet, in sentences, with where on the page each is mended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from airflow_edge.rules.fleet.queues import QueueView
from airflow_edge.rules.fleet.remarks import (
    CLOSED_QUEUES,
    COPIED_KEY,
    FULL,
    HELD_BACK,
    NONE_READY,
    ORDER_WAITING,
    OUT_OF_REACH,
    SEVERITIES,
    TEAM_DELETED,
    UNSERVED,
    VERSION_REFUSED,
    VERSION_WARNING,
    WARNED,
    Remark,
    Severity,
    awaited_until,
    count_jobs,
    remark_on_queue,
    remarks,
)
from airflow_edge.rules.fleet.standing import Glance, Stance
from airflow_edge.rules.processes import GatewaySigns

NO_GATEWAY: Final = "no gateway is alive"
"""The one kind that is of the centre; the others are those of remarks."""

MOST_NAMED: Final = 5
"""Workers that an entry names."""
MOST_QUEUES: Final = 10
"""Entries of one kind about queues; the others are counted in one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """Where on the page it is to be mended: `view`, with what that is to show, and what the way there is called."""

    label: str
    view: Literal["workers", "worker", "queues", "jobs", "add"]
    params: Mapping[str, str] = field(default_factory=dict)
    act: Literal["exit"] | None = None
    """What is to be done with the workers that are shown there, where it is one act for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Something about the fleet that needs a person."""

    kind: str
    severity: Severity
    sentence: str
    why: str = ""
    advice: str = ""
    count: int
    """Workers, or waiting jobs of queues."""
    since: datetime | None = None
    workers: tuple[str, ...] = ()
    """The first of them."""
    queue: str | None = None
    team: str | None = None
    action: Remedy
    command: str | None = None


def _remedy_for_queue(kind: str, queue: QueueView) -> Remedy:
    if kind == UNSERVED:
        team = {} if queue.team_name is None else {"team": queue.team_name}
        return Remedy(label="Add a worker", view="add", params={"queues": queue.queue, **team})
    if kind == NONE_READY and queue.unready["maintenance"] == queue.workers:
        params = {"queue": queue.queue, "stance": Stance.MAINTENANCE.value}
        return Remedy(label="End the maintenance", view="workers", params=params, act="exit")
    if kind == NONE_READY:
        return Remedy(label="Show its workers", view="workers", params={"queue": queue.queue})
    return Remedy(label="Show the queue", view="queues", params={"queue": queue.queue})


def needs_a_person(
    workers: Collection[Glance],
    queues: Iterable[QueueView],
    gateways: GatewaySigns,
    known_teams: Collection[str] | None,
    now: datetime,
) -> list[Attention]:
    """Give what needs a person, what is worst first: one entry for each kind of workers, and for each queue.

    Where no gateway is alive that is all there is to say of whom it has not heard from. That an owner has
    closed queues needs nobody: where jobs wait for it, their queue has an entry.
    """
    served = gateways.is_one_alive(now)
    by_kind: defaultdict[str, list[tuple[Glance, Remark]]] = defaultdict(list)
    for worker in workers:
        for remark in remarks(worker, known_teams, now):
            if remark.kind != CLOSED_QUEUES and (served or remark.kind not in _FOLLOW):
                by_kind[remark.kind].append((worker, remark))
    found = [_of_workers(kind, some) for kind, some in by_kind.items()]
    of_queues: defaultdict[str, list[tuple[QueueView, Remark]]] = defaultdict(list)
    for queue in queues:
        if (said := remark_on_queue(queue, now)) is not None and (served or said.kind not in _FOLLOW):
            of_queues[said.kind].append((queue, said))
    for kind, pairs in of_queues.items():
        found += _of_queues(kind, pairs)
    found.sort(key=lambda one: (SEVERITIES.index(one.severity), -one.count, one.kind, one.queue or ""))
    known = sum(worker.revoked_at is None for worker in workers)
    return found if served or not known else [_unserved(known, gateways), *found]


_FOLLOW: Final = frozenset({OUT_OF_REACH, ORDER_WAITING, NONE_READY, FULL})
"""Kinds that come of it if no gateway is alive, or that only one that is alive can know."""


def _unserved(workers: int, gateways: GatewaySigns) -> Attention:
    never = "" if gateways.seen_at else ", and none has been lately"
    return Attention(
        kind=NO_GATEWAY,
        severity="error",
        sentence=f"No API server that serves edge workers is alive{never}.",
        why="jobs wait, and what is shown of workers is what was known last; tasks that run at sites go on",
        advice="Start one with [edge] api_enabled = True:",
        count=workers,
        since=gateways.seen_at,
        action=Remedy(label="Check the centre", view="add"),
        command="airflow api-server",
    )


def _of_queues(kind: str, pairs: Sequence[tuple[QueueView, Remark]]) -> list[Attention]:
    ordered = sorted(pairs, key=lambda pair: (SEVERITIES.index(pair[1].severity), -pair[0].queued, pair[0].queue))
    rest = ordered[MOST_QUEUES:]
    found = [
        Attention(
            kind=kind,
            severity=remark.severity,
            sentence=remark.sentence,
            why=remark.why,
            count=queue.queued,
            since=queue.oldest_queued_at,
            workers=tuple(worker.name for worker in queue.served_by[:MOST_NAMED]),
            queue=queue.queue,
            team=queue.team_name,
            action=_remedy_for_queue(kind, queue),
            command=remark.command,
        )
        for queue, remark in ordered[:MOST_QUEUES]
    ]
    if rest:
        found.append(
            Attention(
                kind=kind,
                severity=rest[0][1].severity,
                sentence=f"…and {len(rest)} more {'queue' if len(rest) == 1 else 'queues'} like that.",
                count=sum(queue.queued for queue, _ in rest),
                since=min((queue.oldest_queued_at for queue, _ in rest if queue.oldest_queued_at), default=None),
                action=Remedy(label="Show them", view="queues", params={"attention": kind}),
            )
        )
    return found


def _of_workers(kind: str, pairs: Sequence[tuple[Glance, Remark]]) -> Attention:
    ordered = sorted(pairs, key=lambda pair: (SEVERITIES.index(pair[1].severity), pair[0].name))
    workers = [worker for worker, _ in ordered]
    one = len(workers) == 1
    what = ordered[0][1] if one else _for_all(kind, ordered)
    if one:
        sentence = f"Worker '{workers[0].name}' {what.sentence}."
        action = Remedy(label="Show the worker", view="worker", params={"name": workers[0].name})
    else:
        sentence = f"{len(workers)} workers {_MANY[kind](sum(worker.jobs for worker in workers))}."
        action = Remedy(label="Show them", view="workers", params={"attention": kind})
    return Attention(
        kind=kind,
        severity=ordered[0][1].severity,
        sentence=sentence,
        why=what.why.rstrip("."),
        advice=what.advice,
        command=what.command,
        count=len(workers),
        since=_since(kind, workers),
        workers=tuple(worker.name for worker in workers[:MOST_NAMED]),
        action=action,
    )


def _since(kind: str, workers: Sequence[Glance]) -> datetime | None:
    if kind == OUT_OF_REACH:
        return min((worker.last_seen_at for worker in workers if worker.last_seen_at), default=None)
    if kind == ORDER_WAITING:
        return min((worker.waiting_order_at for worker in workers if worker.waiting_order_at), default=None)
    return None


_MANY: Final[Mapping[str, Callable[[int], str]]] = {
    OUT_OF_REACH: lambda jobs: f"are out of reach{f' with {count_jobs(jobs)}' if jobs else ''}",
    HELD_BACK: lambda _: "take no job",
    VERSION_REFUSED: lambda _: "get no job because of their versions",
    VERSION_WARNING: lambda _: "have versions to look at",
    COPIED_KEY: lambda _: "have keys that other machines have, too",
    TEAM_DELETED: lambda _: "get no job",
    WARNED: lambda _: "warn",
    ORDER_WAITING: lambda _: "have not answered an order",
}
"""What is said of several at once, given their jobs."""


def _for_all(kind: str, pairs: Sequence[tuple[Glance, Remark]]) -> Remark:
    """Give what is said of most of several workers, and of how many something else is."""
    first = pairs[0][1]
    if kind == COPIED_KEY:
        return replace(first, why="")
    if kind == OUT_OF_REACH:
        waited = [worker.lost_after for worker, _ in pairs if worker.lost_after is not None]
        return replace(first, why=awaited_until("the first of them", min(waited)) if waited else "")
    ((said, number),) = Counter(replace(remark, why=remark.why.rstrip(".")) for _, remark in pairs).most_common(1)
    others = len(pairs) - number
    return replace(said, why=f"{said.why} ({number} of them; {others} for other reasons)") if others else said
