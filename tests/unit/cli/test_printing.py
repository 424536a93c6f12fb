from __future__ import annotations

import json

import pytest

from airflow_edge.cli.printing import print_as

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
