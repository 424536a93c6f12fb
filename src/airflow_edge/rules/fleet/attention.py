"""What needs a person, in sentences, with what is to be done beside each: of one worker, of a queue, of the fleet."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from airflow_edge.rules.acts.pausing import resume_command
from airflow_edge.rules.fleet.queues import QueueView
from airflow_edge.rules.fleet.standing import Glance, Reach, Stance
from airflow_edge.rules.processes import GatewaySigns
from airflow_edge.rules.worker import describe_others, trying

Severity: TypeAlias = Literal["error", "warning", "info"]
_SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")

OUT_OF_REACH: Final = "out of reach"
HELD_BACK: Final = "held back"
VERSION_REFUSED: Final = "version refused"
VERSION_WARNING: Final = "version warning"
COPIED_KEY: Final = "copied key"
TEAM_DELETED: Final = "team deleted"
WARNED: Final = "warnings"
ORDER_WAITING: Final = "order waiting"
UNSERVED: Final = "queue nobody serves"
NONE_READY: Final = "queue without ready worker"
FULL: Final = "queue full"
PAUSED: Final = "paused queue with waiting jobs"
NO_GATEWAY: Final = "no gateway is alive"
"""The kinds: the first eight are of workers, the others of queues, the last of the centre."""

LONG: Final = timedelta(minutes=5)
"""A job that has waited for so long for a free slot is worth a look."""
ORDER_LONG: Final = timedelta(minutes=1)
"""A worker that is linked obeys within a second."""
MOST_NAMED: Final = 5
"""Workers that an entry names."""
MOST_QUEUES: Final = 10
"""Entries of one kind about queues; the others are counted in one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something about a worker, or a queue, that somebody should look after."""

    kind: str
    severity: Severity
    sentence: str
    command: str | None = None
    """What mends it, where a command does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """Where on the page it is to be mended: `view`, with what that is to show, and what the way there is called."""

    label: str
    view: Literal["workers", "worker", "queues", "jobs", "add"]
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Something about the fleet that needs a person."""

    kind: str
    severity: Severity
    sentence: str
    count: int
    """Workers, or waiting jobs of queues."""
    since: datetime | None = None
    workers: tuple[str, ...] = ()
    """The first of them."""
    queue: str | None = None
    team: str | None = None
    action: Remedy
    command: str | None = None


# Of one worker


def remarks(worker: Glance, known_teams: Collection[str] | None, now: datetime) -> list[Remark]:
    """Give what there is to look after at a worker, what is worst first.

    :param known_teams: those that Airflow has; None where it has none
    """
    if worker.revoked_at is not None:
        return []
    found = []

    def add(kind: str, severity: Severity, sentence: str) -> None:
        found.append(Remark(kind=kind, severity=severity, sentence=sentence))

    link = worker.link
    if known_teams is not None and worker.team_name is not None and worker.team_name not in known_teams:
        add(TEAM_DELETED, "error", f"its team '{worker.team_name}' was deleted: it gets no task; enrol it anew")
    if others := describe_others(trying(worker.others, now)):
        add(COPIED_KEY, "error", others)
    if link is Reach.OUT_OF_REACH:
        meant = worker.stance is Stance.MAINTENANCE
        severity: Severity = "error" if worker.jobs else "info" if meant else "warning"
        waits = f", and {_jobs(worker.jobs)} there {_are(worker.jobs)} waited for" if worker.jobs else ""
        add(OUT_OF_REACH, severity, f"it is not heard from{waits}{', as it is in maintenance' if meant else ''}")
    if link is Reach.LINKED:
        if worker.version_refused:
            add(VERSION_REFUSED, "error", worker.version_refused)
        if worker.conditions:
            add(HELD_BACK, "info" if worker.stance is Stance.MAINTENANCE else "warning", worker.conditions)
        if worker.waiting_order_at is not None and now - worker.waiting_order_at > ORDER_LONG:
            add(ORDER_WAITING, "info", "it was asked for something and has not answered")
        if worker.version_warning:
            add(VERSION_WARNING, "info", worker.version_warning)
        if worker.warnings:
            add(WARNED, "info", worker.warnings)
    return sorted(found, key=lambda remark: _SEVERITIES.index(remark.severity))


# Of one queue


def remark_on_queue(queue: QueueView, now: datetime) -> Remark | None:
    """Give what there is to look after at a queue; None if nothing waits in vain."""
    if not queue.queued:
        return None
    wait = f"{_jobs(queue.queued)} {'waits' if queue.queued == 1 else 'wait'} in queue '{queue.queue}'"
    if queue.paused is not None:
        sentence = f"{wait}, which is {queue.paused}."
        return Remark(
            kind=PAUSED, severity="info", sentence=sentence, command=resume_command(queue.team_name, queue.queue)
        )
    if not queue.workers:
        reason = (
            f"whose workers belong to {', '.join(queue.elsewhere)} and not to {queue.team_name or 'no team'}"
            if queue.elsewhere
            else "which no worker serves"
        )
        team = ["--team", queue.team_name] if queue.team_name is not None else []
        command = shlex.join(["airflow", "edge", "enroll-token", "create", "--queues", queue.queue, *team])
        return Remark(kind=UNSERVED, severity="error", sentence=f"{wait}, {reason}.", command=command)
    if not queue.ready_workers:
        tally = ", ".join(f"{number} {_WORDS[why]}" for why, number in queue.unready.items() if number)
        whose = "its only worker does not take jobs" if queue.workers == 1 else f"none of its {queue.workers} workers"
        does = "" if queue.workers == 1 else " takes jobs"
        return Remark(kind=NONE_READY, severity="error", sentence=f"{wait}, and {whose}{does}: {tally}.")
    if not queue.free_slots:
        long = queue.oldest_queued_at is not None and now - queue.oldest_queued_at > LONG
        ready = f"{queue.ready_workers} ready {'worker' if queue.ready_workers == 1 else 'workers'}"
        sentence = f"{wait}: all {queue.slots} slots of its {ready} are taken."
        return Remark(kind=FULL, severity="warning" if long else "info", sentence=sentence)
    return None


_WORDS: Final = {
    "maintenance": "in maintenance",
    "out_of_reach": "out of reach",
    "held_back": "held back",
    "starting": "starting",
    "draining": "shutting down",
    "offline": "offline",
}


def _remedy_for_queue(kind: str, queue: QueueView) -> Remedy:
    if kind == UNSERVED:
        team = {} if queue.team_name is None else {"team": queue.team_name}
        return Remedy(label="Add a worker", view="add", params={"queues": queue.queue, **team})
    if kind == NONE_READY and queue.unready["maintenance"] == queue.workers:
        params = {"queue": queue.queue, "stance": Stance.MAINTENANCE.value}
        return Remedy(label="End the maintenance", view="workers", params=params)
    if kind == NONE_READY:
        return Remedy(label="Show its workers", view="workers", params={"queue": queue.queue})
    return Remedy(label="Show the queue", view="queues", params={"queue": queue.queue})


# Of the fleet


def needs_a_person(
    workers: Collection[Glance],
    queues: Iterable[QueueView],
    gateways: GatewaySigns,
    known_teams: Collection[str] | None,
    now: datetime,
) -> list[Attention]:
    """Give what needs a person, what is worst first: one entry for each kind of workers, and for each queue.

    Where no gateway is alive that is all there is to say of whom it has not heard from.
    """
    served = gateways.is_one_alive(now)
    by_kind: defaultdict[str, list[tuple[Glance, Remark]]] = defaultdict(list)
    for worker in workers:
        for remark in remarks(worker, known_teams, now):
            if served or remark.kind not in _FOLLOW:
                by_kind[remark.kind].append((worker, remark))
    found = [_of_workers(kind, some) for kind, some in by_kind.items()]
    of_queues: defaultdict[str, list[tuple[QueueView, Remark]]] = defaultdict(list)
    for queue in queues:
        if (said := remark_on_queue(queue, now)) is not None and (served or said.kind not in _FOLLOW):
            of_queues[said.kind].append((queue, said))
    for kind, pairs in of_queues.items():
        found += _of_queues(kind, pairs)
    found.sort(key=lambda one: (_SEVERITIES.index(one.severity), -one.count, one.kind, one.queue or ""))
    known = sum(worker.revoked_at is None for worker in workers)
    return found if served or not known else [_unserved(known, gateways), *found]


_FOLLOW: Final = frozenset({OUT_OF_REACH, ORDER_WAITING, NONE_READY, FULL})
"""Kinds that come of it if no gateway is alive, or that only one that is alive can know."""


def _unserved(workers: int, gateways: GatewaySigns) -> Attention:
    never = "" if gateways.seen_at else ", and none has been lately"
    return Attention(
        kind=NO_GATEWAY,
        severity="error",
        sentence=f"No API server that serves edge workers is alive{never}: jobs wait, and what is shown of workers is "
        "what was known last. Tasks that run at sites go on. Start one with [edge] api_enabled = True.",
        count=workers,
        since=gateways.seen_at,
        action=Remedy(label="Check the centre", view="add"),
        command="airflow api-server",
    )


def _of_queues(kind: str, pairs: Sequence[tuple[QueueView, Remark]]) -> list[Attention]:
    ordered = sorted(pairs, key=lambda pair: (_SEVERITIES.index(pair[1].severity), -pair[0].queued, pair[0].queue))
    rest = ordered[MOST_QUEUES:]
    found = [
        Attention(
            kind=kind,
            severity=remark.severity,
            sentence=remark.sentence,
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
    ordered = sorted(pairs, key=lambda pair: (_SEVERITIES.index(pair[1].severity), pair[0].name))
    workers = [worker for worker, _ in ordered]
    severity = ordered[0][1].severity
    one = len(workers) == 1
    subject = f"Worker '{workers[0].name}'" if one else f"{len(workers)} workers"
    said = _most_frequent(remark.sentence.rstrip(".") for _, remark in ordered)
    action = (
        Remedy(label="Show the worker", view="worker", params={"name": workers[0].name})
        if one
        else Remedy(label="Show them", view="workers", params={"attention": kind})
    )
    return Attention(
        kind=kind,
        severity=severity,
        sentence=_SENTENCES[kind](subject, one, said, sum(worker.jobs for worker in workers)),
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


def _out_of_reach(subject: str, one: bool, _: str, jobs: int) -> str:
    waited = f"; {_jobs(jobs)} there {_are(jobs)} waited for" if jobs else ""
    return f"{subject} {'is' if one else 'are'} out of reach{waited}."


_SENTENCES: Final[Mapping[str, Callable[[str, bool, str, int], str]]] = {
    OUT_OF_REACH: _out_of_reach,
    HELD_BACK: lambda subject, one, said, _: f"{subject} {_takes(one)} no job: {said}.",
    VERSION_REFUSED: lambda subject, one, said, _: f"{subject} {_gets(one)} no job for {_its(one)} version: {said}.",
    VERSION_WARNING: lambda subject, one, said, _: f"{subject} {_has(one)} a version to look at: {said}.",
    COPIED_KEY: lambda subject, one, said, _: f"The key of {subject[0].lower()}{subject[1:]} is used twice: {said}.",
    TEAM_DELETED: lambda subject, one, said, _: f"{subject} {_gets(one)} no job: {said}.",
    WARNED: lambda subject, one, said, _: f"{subject} {'warns' if one else 'warn'}: {said}.",
    ORDER_WAITING: lambda subject, one, _, __: f"{subject} {_has(one)} not answered an order.",
}


def _most_frequent(sentences: Iterable[str]) -> str:
    """Give what most of them say, and how many say something else."""
    counts = Counter(sentences)
    ((said, number),) = counts.most_common(1)
    others = counts.total() - number
    return f"{said} ({number} of them; {others} for other reasons)" if others else said


def _takes(one: bool) -> str:
    return "takes" if one else "take"


def _gets(one: bool) -> str:
    return "gets" if one else "get"


def _has(one: bool) -> str:
    return "has" if one else "have"


def _its(one: bool) -> str:
    return "its" if one else "their"


def _jobs(number: int) -> str:
    return f"{number} job" if number == 1 else f"{number} jobs"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
