"""What the policy has denied a task, as its log and its explanation say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

from airflow_edge.rules.explanation.ended import clock

MOST_OF_A_TRY: Final = 20
"""What is named of a try of a task; beyond that it is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedDenial:
    """That a try of a task was denied something, once or often."""

    at: datetime
    """When it was first noted."""
    sentence: str
    kind: str
    """The grant that was missing, or `route`; empty where it stands for several."""
    name: str
    more: int = 0
    """So many calls it stands for, which are not named."""


class TimesDenied(NamedTuple):
    """How often a task was denied something, in all its runs."""

    times: int
    last_day: date


def in_log(denials: Iterable[NotedDenial]) -> list[str]:
    """Say each once, and how many there were besides."""
    named, more = _parted(denials)
    return [f"{one.sentence}." for one in named] + ([f"{unnamed(more)}."] if more else [])


def in_explanation(denials: Iterable[NotedDenial], counted: Mapping[tuple[str, str], TimesDenied]) -> list[str]:
    """Say the same with when and how often.

    :param counted: by kind and name
    """
    named, more = _parted(denials)
    return [
        f"Denied since {clock(one.at)}{_times(counted.get((one.kind, one.name)))}: {one.sentence}." for one in named
    ] + ([f"{unnamed(more)}."] if more else [])


def _parted(denials: Iterable[NotedDenial]) -> tuple[list[NotedDenial], int]:
    """Give those that are named, each once whichever gateway has noted it, and how many calls the others stand for."""
    named: dict[tuple[str, str], NotedDenial] = {}
    more = 0
    for one in denials:
        if one.more:
            more = max(more, one.more)
        else:
            named.setdefault((one.kind, one.name), one)
    return [*named.values()][:MOST_OF_A_TRY], more


def _times(counted: TimesDenied | None) -> str:
    if counted is None:
        return ""
    times = "once" if counted.times == 1 else f"{counted.times} times"
    return f", {times} in all runs since that day, last on {counted.last_day}"


def unnamed(calls: int) -> str:
    """Say that so many calls were denied which are not named."""
    return f"The centre's policy denied at least {calls} more call{'' if calls == 1 else 's'} of this task"
