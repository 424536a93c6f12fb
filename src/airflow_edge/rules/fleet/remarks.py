"""What somebody should look after at one worker or queue, in sentences, with what is to be done beside each."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from airflow_edge.rules.acts.maintaining import describe_maintenance
from airflow_edge.rules.acts.pausing import resume_command
from airflow_edge.rules.fleet.queues import QueueView
from airflow_edge.rules.fleet.standing import Glance, Reach, Stance
from airflow_edge.rules.versions import why_and_command
from airflow_edge.rules.worker import OtherInstance, place, trying

Severity: TypeAlias = Literal["error", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")
"""What is worst first."""

OUT_OF_REACH: Final = "out of reach"
HELD_BACK: Final = "held back"
VERSION_REFUSED: Final = "version refused"
VERSION_WARNING: Final = "version warning"
COPIED_KEY: Final = "copied key"
TEAM_DELETED: Final = "team deleted"
WARNED: Final = "warnings"
ORDER_WAITING: Final = "order waiting"
CLOSED_QUEUES: Final = "closed queues"
UNSERVED: Final = "queue nobody serves"
NONE_READY: Final = "queue without ready worker"
FULL: Final = "queue full"
PAUSED: Final = "paused queue with waiting jobs"
"""The kinds: the first nine are of workers, the others of queues."""

LONG: Final = timedelta(minutes=5)
"""A job that has waited for so long for a free slot is worth a look."""
ORDER_LONG: Final = timedelta(minutes=1)
"""A worker that is linked obeys within a second."""
MOST_COMMENTS: Final = 3
"""Comments on maintenances, and reasons of owners, that are told of a queue."""
MOST_CLOSED: Final = 5
"""Closed queues that are named of a worker, for one reason."""


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
        add(COPIED_KEY, "error", "has a key that another machine has, too", *_copied(worker, others))
    if worker.link is Reach.OUT_OF_REACH:
        severity: Severity = "error" if worker.jobs else "info" if meant else "warning"
        there = f" with {count_jobs(worker.jobs)}" if worker.jobs else ""
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
        if worker.closed:
            why = "; ".join(_closed(worker))
            add(CLOSED_QUEUES, "info", "has queues that its owner has closed", why)
    return sorted(found, key=lambda remark: SEVERITIES.index(remark.severity))


def _is_well(worker: Glance, known_teams: Collection[str] | None) -> bool:
    """Say, as soon as it can be seen, that there is nothing to say: mostly that is so, of thousands."""
    said = worker.others or worker.warnings or worker.version_warning or worker.waiting_order_at or worker.closed
    return worker.ready and not said and (known_teams is None or worker.team_name is None)


_ENROL_ANEW: Final = "Enrol it anew, or revoke it."
_LOOK_AT_IT: Final = "See whether the machine is up and has a network; at the site, airflow-edge check says more."


def _awaited(worker: Glance) -> str:
    """Say what becomes of the jobs of one that is out of reach."""
    meant = "it is in maintenance; " if worker.stance is Stance.MAINTENANCE else ""
    if not worker.jobs:
        return f"{meant}no job is there"
    if worker.lost_after is None:
        return f"{meant}its jobs may go on there"
    return meant + awaited_until("they", worker.lost_after)


def awaited_until(what: str, lost_after: datetime) -> str:
    """Say what becomes of jobs at a worker that is out of reach, and until when `what` of it is waited for."""
    return (
        f"its jobs may go on there, and are waited for; unless it comes back, {what} count as lost "
        f"{_moment(lost_after)}, and Airflow retries those that have retries left"
    )


def _copied(worker: Glance, others: Sequence[OtherInstance]) -> tuple[str, str]:
    """Say who has a worker's key, who tries to use it, and what to do in either case."""
    whose = place(worker.host_name, worker.address)
    refused = "is refused" if len(others) == 1 else f"and {len(others) - 1} more are refused"
    why = f"{whose} works with it; {others[0]} {refused}, last {_moment(others[0].last_tried_at)}"
    which = "that machine" if len(others) == 1 else "each of them"
    return why, (
        f"If its state folder was copied there, enrol {which} as a worker of its own. If nobody of yours did that, the "
        "key is stolen: revoke this worker, and enrol it anew."
    )


def _closed(worker: Glance) -> Iterator[str]:
    """Say which of a worker's queues its owner has closed, and why; what is the same is said once."""
    queues: dict[str, list[str]] = {}
    for queue, closure in sorted(worker.closed.items()):
        queues.setdefault(closure.reason.rstrip("."), []).append(f"'{queue}'")
    for reason, names in queues.items():
        more = len(names) - MOST_CLOSED
        named = ", ".join(names[:MOST_CLOSED]) + (f" and {more} more" if more > 0 else "")
        yield f"{named} {'is' if len(names) == 1 else 'are'} closed {reason}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


# Of one queue


def remark_on_queue(queue: QueueView, now: datetime) -> Remark | None:
    """Give what there is to look after at a queue; None if nothing waits in vain."""
    if not queue.queued:
        return None
    wait = f"{count_jobs(queue.queued)} {'waits' if queue.queued == 1 else 'wait'} in queue '{queue.queue}'"
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
        # What is closed for a time is so as its owner wants it.
        meant = all(queue.is_closed_for_now(worker) for worker in queue.served_by)
        return Remark(
            kind=NONE_READY,
            severity="info" if meant else "error",
            sentence=f"{wait}, and {whose}{does}: {tally}.",
            why="; ".join(filter(None, [_maintained(queue), _closed_by_owners(queue)])),
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
    return _most(found)


def _closed_by_owners(queue: QueueView) -> str:
    """Say by what the owners of workers have closed a queue there."""
    return _most(
        Counter(
            f"closed {closure.reason.rstrip('.')}"
            for worker in queue.served_by
            if worker.ready and (closure := worker.closed.get(queue.queue)) is not None
        )
    )


def _most(found: Counter[str]) -> str:
    said = [text for text, _ in found.most_common(MOST_COMMENTS)]
    more = len(found) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more else "")


_WORDS: Final = {
    "maintenance": "in maintenance",
    "out_of_reach": "out of reach",
    "held_back": "held back",
    "closed": "closed by the owner",
    "starting": "starting",
    "draining": "shutting down",
    "offline": "offline",
}


def count_jobs(number: int) -> str:
    """Say how many jobs: `1 job`, `2 jobs`."""
    return f"{number} job" if number == 1 else f"{number} jobs"
