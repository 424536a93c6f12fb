"""Durations as people write them in settings and commands: `900`, `90s`, `30m`, `12h`, `2d`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from airflow_edge.protocol.problems import QUEUE_NAME_RULE, is_queue_name

LONGEST: Final = timedelta(days=365)

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_AGES: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_FORM: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd]?)", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a number of seconds, or a number with one of the units s, m, h and d.

    :raises ValueError: it is none, or longer than a year; the message shows how to write one.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"'{text}' is not a duration; write seconds, or a number with a unit, like 90s, 30m, 12h or 2d"
        )
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"'{text}' is too long; {LONGEST.days}d is the most")
    return timedelta(seconds=seconds)


def parse_named_durations(text: str) -> dict[str, timedelta]:
    """Read durations by a queue's name, like `plc=86400, lab=12h`; an empty text has none.

    :raises ValueError: a part is not a name and a duration, or a name comes twice.
    """
    durations: dict[str, timedelta] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, duration = (piece.strip() for piece in part.rpartition("="))
        if not equals or not name:
            raise ValueError(f"'{part}' is not a name and a duration; write it like plc=86400, lab=12h")
        if not is_queue_name(name):
            raise ValueError(f"there can be no queue {name[:60]!a}: {QUEUE_NAME_RULE}")
        if name in durations:
            raise ValueError(f"'{name}' is there twice")
        durations[name] = parse_duration(duration)
    return durations


def format_age(moment: datetime, now: datetime) -> str:
    """Say how long ago a moment was, or in how long it will be, in its largest unit: `3 s ago`, `in 2 h`."""
    seconds = (now - moment).total_seconds()
    size = abs(seconds)
    unit, name = next(((unit, name) for unit, name in _AGES if size >= unit), _AGES[-1])
    amount = f"{size // unit:.0f} {name}"
    return f"{amount} ago" if seconds >= 0 else f"in {amount}"


def format_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit that gives a whole number: `12h`."""
    seconds = duration.total_seconds()
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0), "s")
    return f"{seconds / _UNITS[unit]:.6f}".rstrip("0").rstrip(".") + unit
