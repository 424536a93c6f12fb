from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from airflow_edge.agent.site_policy.hours import HoursError, next_opening, read_hours

VIENNA = ZoneInfo("Europe/Vienna")
SHIFT = read_hours("Mon-Fri 06:00-22:00")
NIGHT = read_hours("Fri,Sat 22:00-06:00")


def at(text: str) -> datetime:
    """A moment of the week that begins on Monday, 2026-03-23; summer time begins at its end."""
    day, time = text.split()
    number = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun").index(day)
    return datetime.fromisoformat(f"2026-03-{23 + number} {time}").replace(tzinfo=VIENNA)


@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        (SHIFT, "Mon 05:59", False),
        (SHIFT, "Mon 06:00", True),
        (SHIFT, "Fri 21:59", True),
        (SHIFT, "Fri 22:00", False),
        (SHIFT, "Sat 12:00", False),
        (NIGHT, "Fri 22:00", True),
        (NIGHT, "Sat 05:59", True),
        (NIGHT, "Sat 06:00", False),
        (NIGHT, "Sun 05:59", True),
        (NIGHT, "Fri 05:59", False),
        (read_hours("Sun-Mon 00:00-24:00"), "Mon 23:59", True),
        (read_hours("Sun-Mon 00:00-24:00"), "Tue 00:00", False),
        (read_hours("12:00-13:00"), "Thu 12:30", True),
        (read_hours("mon , wed 12:00 - 13:00"), "Wed 12:30", True),
    ],
)
def test_when_it_is_open(hours, moment, is_open):
    assert hours.is_open(at(moment)) is is_open


@pytest.mark.parametrize(
    ("moment", "opens"), [("Fri 22:00", "Mon 06:00"), ("Mon 05:00", "Mon 06:00"), ("Mon 06:00", "Tue 06:00")]
)
def test_when_it_opens_next_by_the_clock_on_the_wall(moment, opens):
    assert next_opening([SHIFT], at(moment)) == opens


def test_no_hours_never_open():
    assert next_opening([], at("Mon 06:00")) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("always", "is not like"),
        ("Mon-Fri 6:00-22:00", "is not like"),
        ("Mon-Fri 06:00-24:01", "there is no 24:01"),
        ("Mon 06:60-07:00", "there is no 06:60"),
        ("Mon 06:00-06:00", "never open"),
        ("Mon 24:00-06:00", "never open"),
        ("Mo-Fri 06:00-22:00", "'Mo' is no day"),
        ("Mon,,Tue 06:00-22:00", "'' is no day"),
    ],
)
def test_what_makes_no_sense_is_named(text, said):
    with pytest.raises(HoursError, match=said):
        read_hours(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Mon-Fri 06:00-22:00", "Mon-Fri 06:00-22:00"),
        ("fri - mon 22:00 - 06:00", "Mon,Fri-Sun 22:00-06:00"),
        ("Wed 00:00-24:00", "Wed 00:00-24:00"),
        ("12:00-13:05", "12:00-13:05"),
    ],
)
def test_they_are_written_as_they_are_read(text, shown):
    assert str(read_hours(text)) == shown
    assert read_hours(shown) == read_hours(text)
