from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import pytest

from airflow_edge.cli.centre.describing import LONGEST_COMMENT, comment, duration, moment, positive, worker_name
from airflow_edge.protocol.messages import MAX_TEXT


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", timedelta(seconds=90)), ("30m", timedelta(minutes=30)), ("1h", timedelta(hours=1)), ("7d", timedelta(7))],
)
def test_a_duration_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert duration(text) == length


@pytest.mark.parametrize("text", ["", "1", "h", "1 h", "-1h", "0s", "1.5h", "9999d", "999999999d", "١h"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"7d|3650d"):
        duration(text)


def test_a_time_to_come_is_said_by_how_long_or_by_when() -> None:
    before = datetime.now(UTC)
    assert before + timedelta(hours=2) <= moment("2h") <= datetime.now(UTC) + timedelta(hours=2)
    tomorrow = (before + timedelta(days=1)).replace(microsecond=0)
    assert moment(tomorrow.isoformat()) == tomorrow
    assert moment(tomorrow.astimezone().replace(tzinfo=None).isoformat()) == tomorrow


@pytest.mark.parametrize("text", ["", "soon", "0s", "2020-01-01T00:00", "9000-01-01", "400d", "0001-01-01T00:00"])
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"no time; write|in the future|is not possible"):
        moment(text)


@pytest.mark.parametrize("text", ["0", "-1", "", "1.0", "1000000", "x"])
def test_a_number_of_uses_is_at_least_one(text: str) -> None:
    assert positive("1") == 1
    with pytest.raises(argparse.ArgumentTypeError, match="between 1 and 999999"):
        positive(text)


@pytest.mark.parametrize("text", ["", "  ", "x" * (MAX_TEXT + 1)])
def test_a_comment_says_something_and_fits_into_a_message(text: str) -> None:
    assert LONGEST_COMMENT == MAX_TEXT
    assert comment("x" * MAX_TEXT) == "x" * MAX_TEXT
    with pytest.raises(argparse.ArgumentTypeError, match=f"between 1 and {MAX_TEXT}"):
        comment(text)


@pytest.mark.parametrize("text", ["", "-x", "a b", "a/b", "ä", "x" * 201])
def test_what_cannot_be_a_workers_name_is_refused(text: str) -> None:
    assert worker_name("press-7.hall@site") == "press-7.hall@site"
    with pytest.raises(argparse.ArgumentTypeError, match="a worker's name begins with"):
        worker_name(text)
