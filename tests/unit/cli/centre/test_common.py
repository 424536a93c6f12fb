from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.utils import yaml
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.cli.centre.common import print_as, shortened

COMMENT = "see [/var/log] and [red]\x1b[2J\nthe manual"
"""What somebody wrote beside a worker: brackets that are no markup, and what a terminal would obey."""


@pytest.mark.held("escapes and newlines in what list-workers shows")
@pytest.mark.parametrize("output", ["table", "plain"])
def test_people_see_what_was_written_and_their_terminal_obeys_none_of_it(capsys, output):
    print_as([{"name": "w", "comment": COMMENT}], output)
    shown = capsys.readouterr().out
    assert "see [/var/log] and [red] [2J the manual" in shown
    assert "\x1b" not in shown


def test_a_program_gets_it_as_it_is(capsys):
    print_as([{"name": "w", "comment": COMMENT}], "json")
    shown = capsys.readouterr().out
    assert json.loads(shown) == [{"name": "w", "comment": COMMENT}]


ROWS = [{"name": "a", "queues": ["x", "y"], "slots": 0, "order": None, "comment": ""}] * 2


def test_a_table_leaves_out_columns_that_say_nothing(capsys):
    print_as(ROWS, "table")
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head.split("|") == [" name   ", " queues   ", " slots"]
    assert lines == [" a      | x,y      | 0"] * 2
    print_as(ROWS, "plain")
    assert capsys.readouterr().out.splitlines()[0].split() == ["name", "queues", "slots", "order", "comment"]


def test_programs_get_every_field(capsys):
    wanted = [{"name": "a", "queues": ["x", "y"], "slots": 0, "order": None, "comment": ""}] * 2
    print_as(ROWS, "json")
    assert json.loads(capsys.readouterr().out) == wanted
    print_as(ROWS, "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == wanted


@pytest.mark.parametrize(("output", "said"), [("table", "No data found\n"), ("json", "[]\n")])
def test_nothing_is_said_too(capsys, output, said):
    print_as([], output)
    assert capsys.readouterr().out == said


COMPACT = {"name": 8, "seen": 10, "slots": 5}


def test_people_get_ages_and_a_few_short_columns_and_programs_moments_and_numbers(capsys):
    seen = datetime.now(UTC) - timedelta(minutes=5, seconds=1)
    rows = [{"name": "a-very-long-name", "seen": seen, "slots": 3, "other": "x"}]
    print_as(rows, "table", COMPACT)
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split("|") == [" name     ", " seen      ", " slots"]
    assert "5 min ago" in shown
    assert "a-ve…ame" in shown
    print_as(rows, "wide", COMPACT)
    shown = capsys.readouterr().out
    assert "a-very-long-name" in shown
    assert "other" in shown
    print_as(rows, "json", COMPACT)
    assert json.loads(capsys.readouterr().out) == [
        {"name": "a-very-long-name", "seen": seen.isoformat(timespec="seconds"), "slots": 3, "other": "x"}
    ]


@pytest.mark.parametrize("module", ["workers", "jobs"])
def test_a_compact_table_has_at_most_120_columns(module):
    lists = importlib.import_module(f"airflow_edge.cli.centre.{module}")
    for name in {"workers": ["_WORKERS"], "jobs": ["_JOBS", "_QUEUES"]}[module]:
        columns = getattr(lists, name)
        assert sum(max(len(name), most) + 3 for name, most in columns.items()) - 1 <= 120


@given(st.text(), st.integers(1, 30))
def test_what_is_shortened_keeps_both_its_ends(text, most):
    short = shortened(text, most)
    assert len(short) <= most
    assert short[0:1] in {text[0:1], "…"}
