"""The queues of a fleet: what is wanted of each, who serves it, and what it lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final, TypeAlias

from airflow_edge.rules.acts.pausing import QueuePause
from airflow_edge.rules.fleet.standing import Glance, Stance, standing

RATE_MINUTES: Final = 5
"""Whole minutes over which rates are taken."""

QueueKey: TypeAlias = tuple[str | None, str]
"""A team and a queue's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDemand:
    """What waits in a queue and what runs of it."""

    team_name: str | None
    queue: str
    queued: int
    running: int
    oldest_queued_at: datetime | None
    came: int = 0
    """Jobs that were queued within the last `RATE_MINUTES`."""
    went: int = 0
    """Jobs that ended within them."""
    paused: QueuePause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView(QueueDemand):
    """A queue: what is wanted of it, and what there is to do it."""

    served_by: tuple[Glance, ...]
    """The workers that serve it and are not revoked; those with most free slots first."""
    elsewhere: tuple[str, ...] = ()
    """Other teams whose workers serve one of this name, if this one's do not."""

    @property
    def workers(self) -> int:
        """Count those that serve it."""
        return len(self.served_by)

    @property
    def ready_workers(self) -> int:
        """Count those of them that are given its jobs."""
        return sum(self._takes(worker) for worker in self.served_by)

    @property
    def free_slots(self) -> int:
        """Count the slots that they have free."""
        return sum(worker.free_slots for worker in self.served_by if self._takes(worker))

    @property
    def slots(self) -> int:
        """Count the slots of those that are given jobs, free or not."""
        return sum(worker.concurrency for worker in self.served_by if self._takes(worker))

    @property
    def in_rate(self) -> float:
        """Jobs that come, a minute."""
        return round(self.came / RATE_MINUTES, 2)

    @property
    def out_rate(self) -> float:
        """Jobs that end, a minute."""
        return round(self.went / RATE_MINUTES, 2)

    @property
    def unready(self) -> dict[str, int]:
        """Count those that serve it and are not given its jobs, by why."""
        found = Counter[str](_unready(worker) for worker in self.served_by if not self._takes(worker))
        names = ("maintenance", "out_of_reach", "held_back", "closed", "starting", "draining", "offline")
        return {name: found[name] for name in names}

    def is_closed_for_now(self, worker: Glance) -> bool:
        """Say whether a worker would be given its jobs, had its owner not closed it there for a time."""
        closure = worker.closed.get(self.queue)
        return worker.ready and closure is not None and not closure.for_good

    def _takes(self, worker: Glance) -> bool:
        return worker.ready and self.queue not in worker.closed


def _unready(worker: Glance) -> str:
    if worker.ready:
        # Then it is only this queue.
        return "closed"
    # Whoever is in maintenance is meant to be away.
    if worker.stance is Stance.MAINTENANCE:
        return "maintenance"
    found = standing(worker)
    return "offline" if found == "never_linked" else found


_ORDERS: Final[Mapping[str, Callable[[QueueView], Any]]] = {
    "queue": lambda queue: (queue.queue, queue.team_name or ""),
    "queued": lambda queue: queue.queued,
    "running": lambda queue: queue.running,
    "oldest_queued_at": lambda queue: queue.oldest_queued_at,
    "workers": lambda queue: queue.workers,
    "ready_workers": lambda queue: queue.ready_workers,
    "free_slots": lambda queue: queue.free_slots,
    "in_rate": lambda queue: queue.came,
    "out_rate": lambda queue: queue.went,
}
QUEUE_ORDERS: Final = frozenset(_ORDERS)
"""By what queues can be sorted."""


def rate_window(now: datetime) -> tuple[datetime, datetime]:
    """Give the time over which rates are taken now."""
    end = now.replace(second=0, microsecond=0)
    return end - timedelta(minutes=RATE_MINUTES), end


def queues(demands: Iterable[QueueDemand], workers: Iterable[Glance]) -> list[QueueView]:
    """Bring together, by team and name, what is wanted of each queue and who serves it.

    A queue that nobody serves, or that nobody asks anything of, is there too.
    """
    wanted: dict[QueueKey, QueueDemand] = {(demand.team_name, demand.queue): demand for demand in demands}
    serving: dict[QueueKey, list[Glance]] = {key: [] for key in wanted}
    teams: dict[str, set[str | None]] = {}
    # In one order for all queues: most workers serve several.
    for worker in sorted(workers, key=lambda worker: (-worker.free_slots, not worker.ready, worker.name)):
        if worker.revoked_at is None:
            for queue in worker.queues:
                serving.setdefault((worker.team_name, queue), []).append(worker)
                teams.setdefault(queue, set()).add(worker.team_name)
    views = []
    for (team, queue), found in sorted(serving.items(), key=lambda item: (item[0][0] or "", item[0][1])):
        demand = wanted.get((team, queue)) or _nothing(team, queue)
        views.append(
            QueueView(
                **{one.name: getattr(demand, one.name) for one in fields(QueueDemand)},
                served_by=tuple(found),
                elsewhere=() if found else tuple(sorted(other or "no team" for other in teams.get(queue, ()))),
            )
        )
    return views


def empty_queue(team_name: str | None, queue: str) -> QueueView:
    """Give a queue that nobody serves and nobody asks anything of."""
    [view] = queues([_nothing(team_name, queue)], [])
    return view


def _nothing(team_name: str | None, queue: str) -> QueueDemand:
    return QueueDemand(team_name=team_name, queue=queue, queued=0, running=0, oldest_queued_at=None)


def choose_queues(
    found: Iterable[QueueView], *, search: str | None = None, team: str | None = None, order: str = "queue"
) -> list[QueueView]:
    """Give the queues that are wanted, in an order; what has no value for it comes last.

    :param search: a part of the name in any case; with `*` or `?` all of it
    :param team: only those of this team
    :param order: one of `QUEUE_ORDERS`, with `-` before it for the reverse
    """
    some = [
        queue
        for queue in found
        if (team is None or queue.team_name == team) and (not search or is_found(search, queue.queue))
    ]
    value = _ORDERS[order.removeprefix("-")]
    some.sort(key=_ORDERS["queue"])
    known = sorted((queue for queue in some if value(queue) is not None), key=value, reverse=order.startswith("-"))
    return known + [queue for queue in some if value(queue) is None]


def is_found(search: str, *texts: str) -> bool:
    """Say whether one of the texts has this in it, in any case; one with `*` or `?` has to be all of it."""
    wanted, lower = search.lower(), [text.lower() for text in texts]
    if "*" in wanted or "?" in wanted:
        return any(is_like(text, wanted) for text in lower)
    return any(wanted in text for text in lower)


def is_like(text: str, pattern: str) -> bool:
    """Say whether a text is like a pattern, with `*` for anything and `?` for one character."""
    # A bracket stands for itself, as in SQL.
    return fnmatchcase(text, pattern.replace("[", "[[]"))
