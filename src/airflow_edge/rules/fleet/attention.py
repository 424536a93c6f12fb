"""What needs a person, in sentences, with what is to be done beside each: of one worker, of a queue, of the fleet."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from airflow_edge.rules.acts.maintaining import describe_maintenance
from airflow_edge.rules.acts.pausing import resume_command
from airflow_edge.rules.fleet.queues import QueueView
from airflow_edge.rules.fleet.standing import Glance, Reach, Stance
from airflow_edge.rules.processes import GatewaySigns
from airflow_edge.rules.versions import why_and_command
from airflow_edge.rules.worker import OtherInstance, place, trying

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
MOST_COMMENTS: Final = 3
"""Comments on maintenances that are told of a queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something about a worker, or a queue, that somebody should look after.

    Times in it are absolute, and UTC: who shows it may say how long ago they are.
    """

    kind: str
    severity: Severity
    sentence: str
    """What it is; of a worker, without its name."""
    why: str = ""
    """Why it is so, or what is known of it."""
    advice: str = ""
    """What to do about it, up to the command if there is one."""
    command: str | None = None
    """What mends it, where a command does."""


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


# Of one worker


def remarks(worker: Glance, known_teams: Collection[str] | None, now: datetime) -> list[Remark]:
    """Give what there is to look after at a worker, what is worst first.

    :param known_teams: those that Airflow has; None where it has none
    """
    if worker.revoked_at is not None or _is_well(worker, known_teams):
        return []
    found = []

    def add(kind: str, severity: Severity, sentence: str, why: str = "", advice: str = "") -> None:
        found.append(Remark(kind=kind, severity=severity, sentence=sentence, why=why, advice=advice))

    meant = worker.stance is Stance.MAINTENANCE
    if known_teams is not None and worker.team_name is not None and worker.team_name not in known_teams:
        add(TEAM_DELETED, "error", "gets no job", f"its team '{worker.team_name}' was deleted", _ENROL_ANEW)
    if worker.others and (others := trying(worker.others, now)):
        add(COPIED_KEY, "error", "shares its key with another machine", *_copied(worker, others))
    if worker.link is Reach.OUT_OF_REACH:
        severity: Severity = "error" if worker.jobs else "info" if meant else "warning"
        there = f" with {_jobs(worker.jobs)}" if worker.jobs else ""
        add(OUT_OF_REACH, severity, f"is out of reach{there}", _awaited(worker), "" if meant else _LOOK_AT_IT)
    if worker.link is Reach.LINKED:
        if worker.version_refused:
            why, command = why_and_command(worker.version_refused)
            advice = "" if command is None else "At its site, run this and restart the worker:"
            refused = Remark(
                kind=VERSION_REFUSED,
                severity="error",
                sentence="gets no job because of its version",
                why=why,
                advice=advice,
                command=command,
            )
            found.append(refused)
        if worker.conditions:
            add(HELD_BACK, "info" if meant else "warning", "takes no job", worker.conditions)
        if worker.waiting_order_at is not None and now - worker.waiting_order_at > ORDER_LONG:
            add(ORDER_WAITING, "info", "has not answered an order")
        if worker.version_warning:
            add(VERSION_WARNING, "info", "has a version to look at", worker.version_warning)
        if worker.warnings:
            add(WARNED, "info", "warns", worker.warnings)
    return sorted(found, key=lambda remark: _SEVERITIES.index(remark.severity))


def _is_well(worker: Glance, known_teams: Collection[str] | None) -> bool:
    """Say, as soon as it can be seen, that there is nothing to say: mostly that is so, of thousands."""
    said = worker.others or worker.warnings or worker.version_warning or worker.waiting_order_at
    return worker.ready and not said and (known_teams is None or worker.team_name is None)


_ENROL_ANEW: Final = "Enrol it anew, or revoke it."
_LOOK_AT_IT: Final = "See whether the machine is up and has a network; at the site, airflow-edge check says more."


def _awaited(worker: Glance) -> str:
    """Say what becomes of the jobs of one that is out of reach."""
    meant = "it is in maintenance; " if worker.stance is Stance.MAINTENANCE else ""
    if not worker.jobs:
        return f"{meant}no job is there"
    if worker.lost_after is None:
        return f"{meant}what runs there may go on"
    return meant + _waiting("it", worker.lost_after)


def _waiting(what: str, lost_after: datetime) -> str:
    return (
        f"what runs there may go on, and is waited for; unless it comes back, {what} counts as lost "
        f"{_moment(lost_after)}, and Airflow tries again what has retries left"
    )


def _copied(worker: Glance, others: Sequence[OtherInstance]) -> tuple[str, str]:
    """Say who has a worker's key, who tries to use it, and what to do in either case."""
    whose = place(worker.host_name, worker.address)
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    why = f"{whose} has it; {others[0]}{more} tries it, too, and is refused: last {_moment(others[0].last_tried_at)}"
    which = "that machine" if len(others) == 1 else "each of them"
    return why, (
        f"If its state folder was copied there, enrol {which} by itself. If nobody of yours did that, the key is "
        "stolen: revoke this worker, and enrol it anew."
    )


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


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
        return Remark(
            kind=NONE_READY, severity="error", sentence=f"{wait}, and {whose}{does}: {tally}.", why=_maintained(queue)
        )
    if not queue.free_slots:
        long = queue.oldest_queued_at is not None and now - queue.oldest_queued_at > LONG
        ready = f"{queue.ready_workers} ready {'worker' if queue.ready_workers == 1 else 'workers'}"
        sentence = f"{wait}: all {queue.slots} slots of its {ready} are taken."
        return Remark(kind=FULL, severity="warning" if long else "info", sentence=sentence)
    return None


def _maintained(queue: QueueView) -> str:
    """Say of the workers in maintenance who has put them there, why, and until when; what is the same is said once."""
    found = Counter(
        described
        for worker in queue.served_by
        if worker.stance is Stance.MAINTENANCE
        and (
            described := describe_maintenance(
                worker.maintenance_comment, worker.maintenance_by, worker.maintenance_until
            )
        )
    )
    said = [text for text, _ in found.most_common(MOST_COMMENTS)]
    more = len(found) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more else "")


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
        return Remedy(label="End the maintenance", view="workers", params=params, act="exit")
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
        sentence=f"No API server that serves edge workers is alive{never}.",
        why="jobs wait, and what is shown of workers is what was known last; tasks that run at sites go on",
        advice="Start one with [edge] api_enabled = True:",
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
    ordered = sorted(pairs, key=lambda pair: (_SEVERITIES.index(pair[1].severity), pair[0].name))
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
    OUT_OF_REACH: lambda jobs: f"are out of reach{f' with {_jobs(jobs)}' if jobs else ''}",
    HELD_BACK: lambda _: "take no job",
    VERSION_REFUSED: lambda _: "get no job because of their versions",
    VERSION_WARNING: lambda _: "have versions to look at",
    COPIED_KEY: lambda _: "share their keys with other machines",
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
        return replace(first, why=_waiting("the first of it", min(waited)) if waited else "")
    ((said, number),) = Counter(replace(remark, why=remark.why.rstrip(".")) for _, remark in pairs).most_common(1)
    others = len(pairs) - number
    return replace(said, why=f"{said.why} ({number} of them; {others} for other reasons)") if others else said


def _jobs(number: int) -> str:
    return f"{number} job" if number == 1 else f"{number} jobs"
