"""The hours of a week in which something is open, as people write them: `Mon-Fri 06:00-22:00`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EXAMPLE: Final = '"Mon-Fri 06:00-22:00"'
_HOURS: Final = re.compile(r"(?:(?P<days>[A-Za-z,\- ]+) )?(?P<start>\d\d:\d\d) ?- ?(?P<end>\d\d:\d\d)")
_MINUTES_OF_DAY: Final = 24 * 60


class HoursError(ValueError):
    """These are no hours; says what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The same hours of some days of the week; those that end before they begin go on into the next day."""

    days: frozenset[int]
    """0 is Monday."""
    start: int
    end: int
    """Minutes since midnight."""

    def __str__(self) -> str:
        """Write them as `read_hours` reads them."""
        times = "-".join(f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (self.start, self.end))
        return f"{_days_text(self.days)} {times}" if len(self.days) < len(DAYS) else times

    def is_open(self, at: datetime) -> bool:
        """Say whether it is open then, by the clock on the wall."""
        minute, day = at.hour * 60 + at.minute, at.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)


def read_hours(text: str) -> Hours:
    """Read hours; without days they are those of each.

    :raises HoursError: they make no sense.
    """
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise HoursError(f"'{text}' is not like {EXAMPLE}")
    start, end = _minutes(found["start"]), _minutes(found["end"])
    if start in (end, _MINUTES_OF_DAY):
        raise HoursError(f"'{text}' is never open; for the whole day write 00:00-24:00")
    return Hours(_days(found["days"]) if found["days"] else frozenset(range(7)), start, end)


def next_opening(hours: Sequence[Hours], after: datetime) -> str:
    """Say when it opens next, as `Mon 06:00`; empty for never."""
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    # By the clock on the wall, which the change to summer time does not move.
    now = after.replace(tzinfo=None)
    openings = (
        midnight + timedelta(days=ahead, minutes=one.start)
        for ahead in range(8)
        for one in hours
        if (after.weekday() + ahead) % 7 in one.days
    )
    first = min((opening for opening in openings if opening > now), default=None)
    return f"{DAYS[first.weekday()]} {first:%H:%M}" if first else ""


def _minutes(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > _MINUTES_OF_DAY:
        raise HoursError(f"there is no {text} o'clock")
    return hour * 60 + minute


def _days_text(days: frozenset[int]) -> str:
    firsts = [day for day in sorted(days) if day - 1 not in days]
    lasts = [day for day in sorted(days) if day + 1 not in days]
    return ",".join(
        DAYS[first] if first == last else f"{DAYS[first]}-{DAYS[last]}"
        for first, last in zip(firsts, lasts, strict=True)
    )


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = (name.strip() for name in part.partition("-"))
        begin = _day(first)
        count = (_day(last) - begin) % 7 if last else 0
        days.update((begin + step) % 7 for step in range(count + 1))
    return frozenset(days)


def _day(name: str) -> int:
    if name.title() not in DAYS:
        raise HoursError(f"'{name}' is no day; write one of {', '.join(DAYS)}")
    return DAYS.index(name.title())
