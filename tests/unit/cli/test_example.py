"""Every command shows an example that the real command line understands, in its help and on the page about commands."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser
from rich.text import Text

from airflow_edge.cli.centre.describing import literal, plain
from airflow_edge.cli.example import as_epilog, from_epilog
from airflow_edge.cli.site import main as edge

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"
PROMPT = "$ "
WIDTH = 80
"""Columns of a terminal."""

SITE = edge.build_parser()
CENTRE = get_parser()


def choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: command for group in groups for name, command in group.choices.items()}


def commands_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for command in choices(parser).values():
        if choices(command):
            yield from commands_of(command)
        else:
            yield command


AT_THE_SITE = {command.prog: command for command in commands_of(SITE)}
AT_THE_CENTRE = {command.prog: command for command in commands_of(choices(CENTRE)["edge"])}
ALL = AT_THE_SITE | AT_THE_CENTRE


def example_of(command: argparse.ArgumentParser) -> str:
    return from_epilog(plain(command.epilog or ""))


def typed_in(example: str) -> list[list[str]]:
    """What a person types, without what is done with the output."""
    lines = example.replace("\\\n", " ").splitlines()
    typed = [shlex.split(line.removeprefix(PROMPT)) for line in lines if line.startswith(PROMPT)]
    return [list(takewhile(lambda word: word not in {"|", ">"}, words)) for words in typed]


def test_all_commands_are_looked_at() -> None:
    assert {f"airflow-edge {command.name}" for command in edge.COMMANDS} == set(AT_THE_SITE)
    assert {"airflow edge enroll-token create", "airflow edge list-jobs", "airflow edge stop"} < set(AT_THE_CENTRE)
    assert all(prog.startswith("airflow edge ") for prog in AT_THE_CENTRE)


@pytest.mark.parametrize("prog", ALL)
def test_the_example_is_understood_by_the_command_that_shows_it(prog: str) -> None:
    typed = typed_in(example_of(ALL[prog]))
    assert typed, f"`{prog}` has no example"
    for words in typed:
        assert words[: len(prog.split())] == prog.split()
        parser, called = (SITE, "handler") if prog in AT_THE_SITE else (CENTRE, "func")
        assert getattr(parser.parse_args(words[1:]), called) is ALL[prog].get_default(called)


# Each side has a `check` of its own.
@pytest.mark.parametrize(
    "name", [name for name in choices(SITE) if f"airflow edge {name}" in AT_THE_CENTRE and name != "check"]
)
def test_the_other_name_of_a_command_at_the_site_hands_over_what_that_understands(name: str) -> None:
    (words,) = typed_in(example_of(AT_THE_CENTRE[f"airflow edge {name}"]))
    handed_over = CENTRE.parse_args(words[1:]).arguments
    assert SITE.parse_args([name, *handed_over]).handler == choices(SITE)[name].get_default("handler")


@pytest.mark.parametrize("prog", ALL)
def test_help_and_page_show_the_example_as_it_is(prog: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    example = example_of(ALL[prog])
    shown = [line.rstrip() for line in ALL[prog].format_help().splitlines()]
    below = as_epilog(example).splitlines()
    start = shown.index(below[0])
    assert shown[start : start + len(below)] == below
    assert max(map(len, below)) <= WIDTH
    section = PAGE.read_text(encoding="utf-8").split(f"### `{prog}`\n")[1].split("\n### ")[0]
    assert f"```console\n{example}\n```" in section


@pytest.mark.parametrize("prog", ALL)
def test_no_word_of_an_options_help_is_lost(prog: str) -> None:
    shown = "".join(ALL[prog].format_help().split())
    for action in ALL[prog]._actions:
        if action.option_strings and action.help:
            assert "".join(plain(action.help).split()) in shown


@pytest.mark.parametrize("text", ["[edge] api_url", "a [b] [C] [1]", "x[/b]", "nothing"])
def test_brackets_are_printed(text: str) -> None:
    assert Text.from_markup(literal(text)).plain == plain(literal(text)) == text


def test_what_is_below_the_help_is_an_example_or_none() -> None:
    assert from_epilog(as_epilog("\n$ a \\\n    b\nc\n")) == "$ a \\\n    b\nc"
    assert from_epilog("") == from_epilog(edge.EXIT_STATUSES) == ""
