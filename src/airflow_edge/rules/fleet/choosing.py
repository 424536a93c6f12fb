"""Which workers are wanted, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.queues import is_found, is_like
from airflow_edge.rules.fleet.remarks import remarks
from airflow_edge.rules.fleet.standing import Glance, Load, Reach, Stance

MEASURED: Final = {"cpu": "cpu_percent", "memory": "memory_percent", "disk": "disk_free"}
"""Orders that go by what was measured last, and the series of `rules.metrics`."""

_ORDERS: Final[Mapping[str, Callable[[Glance], Any]]] = {
    "name": lambda worker: worker.name,
    "state": lambda worker: worker.state.value,
    "link": lambda worker: list(Reach).index(worker.link),
    "stance": lambda worker: list(Stance).index(worker.stance),
    "load": lambda worker: worker.taken_slots / worker.concurrency if worker.concurrency else 0.0,
    "last_seen_at": lambda worker: worker.last_seen_at,
    "enrolled_at": lambda worker: worker.enrolled_at,
    "concurrency": lambda worker: worker.concurrency,
    "agent_version": lambda worker: worker.agent_version,
    "airflow_version": lambda worker: worker.airflow_version,
}
WORKER_ORDERS: Final = frozenset(_ORDERS) | frozenset(MEASURED)
"""By what workers can be sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFilter:
    """Which workers are wanted; what is not given does not matter."""

    name_pattern: str | None = None
    """With `*` for anything and `?` for one character."""
    search: str | None = None
    """In the name, the host's or the address, in any case; with `*` or `?` all of one of them."""
    states: frozenset[WorkerState] = frozenset()
    links: frozenset[Reach] = frozenset()
    stances: frozenset[Stance] = frozenset()
    loads: frozenset[Load] = frozenset()
    attention: str | None = None
    """One of the kinds that there are to remark on a worker."""
    queue: str | None = None
    team_name: str | None = None
    teams: frozenset[str] | None = None
    """Only of these teams, and those of none."""
    revoked: bool = True
    """Whether those whose key was revoked are wanted too."""


def choose(
    workers: Iterable[Glance],
    wanted: WorkerFilter,
    *,
    order: str = "name",
    measured: Mapping[UUID, float] | None = None,
    known_teams: Collection[str] | None = None,
    now: datetime,
) -> list[Glance]:
    """Give the workers that are wanted, in an order; what has no value for it comes last.

    :param order: one of `WORKER_ORDERS`, with `-` before it for the reverse
    :param measured: for an order of `MEASURED`, what was measured last
    :param known_teams: those that Airflow has; None where it has none
    """
    name, values = order.removeprefix("-"), measured or {}
    by = None if name in MEASURED else _ORDERS[name]

    def value(worker: Glance) -> Any:
        return values.get(worker.id) if by is None else by(worker)

    found = sorted((one for one in workers if fits(one, wanted, known_teams, now)), key=lambda worker: worker.name)
    known = [worker for worker in found if value(worker) is not None]
    known.sort(key=value, reverse=order.startswith("-"))
    return known + [worker for worker in found if value(worker) is None]


def fits(worker: Glance, wanted: WorkerFilter, known_teams: Collection[str] | None, now: datetime) -> bool:
    """Say whether a worker is one of those that are wanted."""
    if wanted.teams is not None and worker.team_name is not None and worker.team_name not in wanted.teams:
        return False
    if wanted.team_name is not None and worker.team_name != wanted.team_name:
        return False
    if not wanted.revoked and worker.revoked_at is not None:
        return False
    if wanted.name_pattern is not None and not is_like(worker.name, wanted.name_pattern):
        return False
    if wanted.search and not is_found(wanted.search, worker.name, worker.host_name, worker.address):
        return False
    chosen: tuple[tuple[Collection[object], object], ...] = (
        (wanted.states, worker.state),
        (wanted.links, worker.link),
        (wanted.stances, worker.stance),
        (wanted.loads, worker.load),
    )
    if any(some and one not in some for some, one in chosen):
        return False
    if wanted.queue is not None and wanted.queue not in worker.queues:
        return False
    return wanted.attention is None or any(
        remark.kind == wanted.attention for remark in remarks(worker, known_teams, now)
    )
