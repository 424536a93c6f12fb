"""Which worker is out of reach, and from when on its jobs are lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from airflow_edge.rules.durations import format_duration, parse_duration, parse_named_durations

T = TypeVar("T")

SHORTEST_HEARTBEAT: Final = 0.1
"""Seconds; with less, the gateway would be busy with nothing else."""

SILENT_INTERVALS: Final = 3
"""Heartbeat intervals without a word after which a worker is out of reach."""


@dataclass(frozen=True, slots=True)
class Grace:
    """How long a job of a worker out of reach is waited for, and who says so."""

    length: timedelta
    source: str

    def __str__(self) -> str:
        return f"{format_duration(self.length)} ({self.source})"


class Silence(NamedTuple):
    """A worker's silence, as one process of the centre knows it."""

    since: datetime
    """When the worker was last seen, by the clock of the process that saw it. Once that changes, it is over."""
    until: datetime
    """How far it has got, by the same clock."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the centre waits, from the moment on in which a worker was last seen.

    `silence` makes a worker `unknown`. The grace ends a job, not a worker, since a worker may serve several queues: it
    is the worker's own if that has one, else that of the job's queue in `queues`, else `grace`.
    """

    silence: timedelta
    grace: timedelta
    queues: Mapping[str, timedelta] = field(default_factory=dict)

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between two heartbeats."""
        return self.silence.total_seconds() / SILENT_INTERVALS

    @property
    def shortest(self) -> timedelta:
        """The shortest grace of the settings."""
        return min((self.grace, *self.queues.values()))

    def silent_before(self, now: datetime) -> datetime:
        """A worker last seen before this is out of reach."""
        return now - self.silence

    def grace_of(self, queue: str, own: timedelta | None) -> Grace:
        """Give the grace of a job.

        :param queue: the job's queue
        :param own: its worker's own grace
        """
        if own is not None:
            return Grace(own, "the worker's own grace")
        if queue in self.queues:
            return Grace(self.queues[queue], "[edge] queue_disconnect_grace")
        return Grace(self.grace, "[edge] disconnect_grace")

    def lost_after(self, last_seen: datetime, queue: str, own: timedelta | None) -> datetime:
        """Say from when on a job is lost unless its worker comes back: never before the worker is out of reach."""
        return last_seen + max(self.grace_of(queue, own).length, self.silence)


def read_patience(option: Callable[[str], str]) -> Patience:
    """Read the settings `heartbeat_interval`, `disconnect_grace` and `queue_disconnect_grace`.

    :param option: gives the text of an option of `[edge]`
    :raises ValueError: one of them makes no sense; the message names it.
    """
    interval = max(read_option("heartbeat_interval", option, float), SHORTEST_HEARTBEAT)
    return Patience(
        silence=timedelta(seconds=SILENT_INTERVALS * interval),
        grace=read_option("disconnect_grace", option, parse_duration),
        queues=read_option("queue_disconnect_grace", option, parse_named_durations),
    )


def read_option(name: str, option: Callable[[str], str], parse: Callable[[str], T]) -> T:
    """Read one option of `[edge]`; a `ValueError` of its parser names it.

    :param option: gives the text of an option
    """
    text = option(name)
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"[edge] {name}: {error}") from None
