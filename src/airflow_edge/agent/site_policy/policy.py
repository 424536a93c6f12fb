"""What a site policy allows: decided from what an offer says, without I/O. What is not mentioned in it is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_edge.agent.site_policy.hours import Hours, next_opening
from airflow_edge.protocol.messages import Closed, JobKind, Offer, one_line

if TYPE_CHECKING:
    # Half a megabyte that an agent whose owner says nothing of hours does not take.
    from zoneinfo import ZoneInfo

Globs: TypeAlias = tuple[str, ...] | None
"""Patterns as for file names, one of which has to fit; None where anything may be."""
LONGEST_NAME = 100
"""Characters of somebody else's name that are told."""


class SitePolicyError(ValueError):
    """It is no site policy; says in a line where and what to write."""


@dataclass(frozen=True, slots=True)
class SiteDenial:
    """Why a job is not taken."""

    reason: str
    for_good: bool
    """The same job would be refused again, whenever it comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a job asks for, as far as its offer says; empty for what that does not say."""

    kind: JobKind
    queue: str
    dag_id: str = ""
    bundle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePolicy:
    """What the owner of a machine allows."""

    queues: Globs = None
    dags: Globs = None
    bundles: Globs = None
    callbacks: bool = True
    users: Globs = None
    """As whom tasks may ask to be run; none of an offer's business, so the runtime goes by it."""
    max_log: int | None = None
    """Most bytes of a try's log that leave the machine."""
    hours: tuple[Hours, ...] | None = None
    time_zone: ZoneInfo | None = None
    """Of the hours; None for the machine's own."""

    def judge(self, asked: Asked, *, now: datetime) -> SiteDenial | None:
        """Say why a job is not taken; None if it is. What cannot be known of it is not allowed.

        A test job runs nothing of anybody's: it is taken at all times.

        :param now: aware
        """
        if asked.kind == "test":
            return None
        if not _fits(self.queues, asked.queue):
            return SiteDenial(f"queue {_named(asked.queue)} is none of its queues", for_good=False)
        if shut := self._shut(now):
            return SiteDenial(shut, for_good=False)
        if asked.kind == "callback" and not self.callbacks:
            return SiteDenial("it allows no callbacks", for_good=True)
        if not _fits(self.dags, asked.dag_id):
            return SiteDenial(f"Dag {_named(asked.dag_id)} is none of its dags", for_good=True)
        if not _fits(self.bundles, asked.bundle):
            return SiteDenial(f"bundle {_named(asked.bundle)} is none of its bundles", for_good=True)
        return None

    def closed(self, queues: Iterable[str], *, now: datetime) -> tuple[Closed, ...]:
        """Say of which of these queues no job is taken now.

        :param now: aware
        """
        barred = [queue for queue in queues if not _fits(self.queues, queue)]
        found = [Closed(queues=tuple(barred), reason="it is none of its queues", for_good=True)] if barred else []
        if (shut := self._shut(now)) and (rest := [queue for queue in queues if queue not in barred]):
            found.append(Closed(queues=tuple(rest), reason=shut))
        return tuple(found)

    def summary(self) -> str:
        """Say in a line what it leaves open."""
        lists = {"queues": self.queues, "Dags": self.dags, "bundles": self.bundles}
        said = [f"{name} {', '.join(globs) or 'none'}" for name, globs in lists.items() if globs is not None]
        if not self.callbacks:
            said.append("no callbacks")
        if self.users is not None:
            said.append(f"run_as_user {', '.join(self.users) or 'none'}")
        if self.max_log is not None:
            said.append(f"logs up to {self.max_log} bytes")
        if self.hours is not None:
            zone = f" ({self.time_zone.key})" if self.time_zone else ""
            said.append(f"hours {', '.join(map(str, self.hours)) or 'none'}{zone}")
        return one_line("; ".join(said) or "anything", 500)

    def _shut(self, now: datetime) -> str:
        """Say until when nothing is taken; empty if something is now."""
        local = now.astimezone(self.time_zone)
        if self.hours is None or any(one.is_open(local) for one in self.hours):
            return ""
        opening = next_opening(self.hours, local)
        return (
            f"it has jobs taken again from {opening} {local.tzname()} on"
            if opening
            else "it has no job taken at any time"
        )


def asked_by(offer: Offer) -> Asked:
    """Say what an offer asks for. The workload is Airflow's JSON, of which any part may be missing."""
    try:
        workload = msgspec.json.decode(offer.workload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        workload = {}
    about = _part(workload, "ti") if offer.kind == "task" else _part(_part(workload, "callback"), "data")
    bundle = _part(workload, "bundle_info")
    return Asked(
        kind=offer.kind, queue=offer.queue, dag_id=_text(about.get("dag_id")), bundle=_text(bundle.get("name"))
    )


def _part(whole: Any, name: str) -> dict[str, Any]:
    part = whole.get(name) if isinstance(whole, dict) else None
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _fits(globs: Globs, name: str) -> bool:
    return globs is None or (name != "" and any(fnmatchcase(name, glob) for glob in globs))


def _named(name: str) -> str:
    return f"'{one_line(name, LONGEST_NAME)}'" if name else "(it names none)"
