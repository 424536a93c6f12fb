"""What the policy has denied a task, as its log and its explanation say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

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


def in_log(denials: Iterable[NotedDenial]) -> list[str]:
    """Say each once, and how many there were besides."""
    named, more = _parted(denials)
    return [f"{one.sentence}." for one in named] + ([f"{unnamed(more)}."] if more else [])


def in_explanation(denials: Iterable[NotedDenial], counted: Mapping[tuple[str, str], int]) -> list[str]:
    """Say the same with when and how often.

    :param counted: in how many tries, by kind and name; what is not in it is said without
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


def _times(tries: int | None) -> str:
    if tries is None:
        return ""
    return ", in one try of all runs" if tries == 1 else f", in {tries} tries of all runs"


def unnamed(calls: int) -> str:
    """Say that so many calls were denied which are not named."""
    return f"The centre's policy denied at least {calls} more call{'' if calls == 1 else 's'} of this task"
