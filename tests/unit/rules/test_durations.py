from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.durations import LONGEST, format_age, format_duration, parse_duration, parse_named_durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("900", 900),
        ("0", 0),
        ("1.5", 1.5),
        ("90s", 90),
        ("30m", 1800),
        (" 12h ", 43200),
        ("2d", 172800),
        ("365d", 31536e3),
    ],
)
def test_a_duration_is_seconds_or_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "-1", "h", "12 h", "1w", "12hh", "١h", "nan", "1e3", "366d", "999999999d", "x"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"12h or 2d|365d is the most"):
        parse_duration(text)


@given(st.integers(0, int(LONGEST.total_seconds())))
def test_what_is_written_is_read_as_the_same(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_named_durations_have_a_name_each() -> None:
    assert parse_named_durations("plc=86400, lab = 12h,,a=b=1m,") == {
        "plc": timedelta(days=1),
        "lab": timedelta(hours=12),
        "a=b": timedelta(minutes=1),
    }
    assert parse_named_durations(" ") == {}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("12h", "plc=86400"),
        ("=12h", "plc=86400"),
        ("plc=", "12h or 2d"),
        ("plc=soon", "'soon'"),
        ("a=1,a=2", "'a' is there"),
    ],
)
def test_a_mistake_in_them_is_named(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_named_durations(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s ago"),
        (3.9, "3 s ago"),
        (60, "1 min ago"),
        (7300, "2 h ago"),
        (200_000, "2 d ago"),
        (-90, "in 1 min"),
    ],
)
def test_an_age_is_in_its_largest_unit(seconds, text):
    now = datetime(2026, 3, 4, tzinfo=UTC)
    assert format_age(now - timedelta(seconds=seconds), now) == text
