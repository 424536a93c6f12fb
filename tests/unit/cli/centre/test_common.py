from __future__ import annotations

import json

import pytest
from airflow.utils import yaml

from airflow_edge.cli.centre.common import print_as

COMMENT = "see [/var/log] and [red]\x1b[2J\nthe manual"
"""What somebody wrote beside a worker: brackets that are no markup, and what a terminal would obey."""


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
    wanted = [{"name": "a", "queues": ["x", "y"], "slots": "0", "order": None, "comment": ""}] * 2
    print_as(ROWS, "json")
    assert json.loads(capsys.readouterr().out) == wanted
    print_as(ROWS, "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == wanted


@pytest.mark.parametrize(("output", "said"), [("table", "No data found\n"), ("json", "[]\n")])
def test_nothing_is_said_too(capsys, output, said):
    print_as([], output)
    assert capsys.readouterr().out == said
