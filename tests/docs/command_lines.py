"""Whether a command is one: what the parsers of Airflow, of the agent, and make say of it."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata

from packaging.requirements import Requirement

from harness.pages import ROOT

MORE = "…"
"""At the end of a command in a sentence: there is more to it."""


def complaint(words: Sequence[str], *, whole: bool = True) -> str | None:
    """Say what is wrong with a command, None if nothing is, or nobody knows the program.

    :param whole: whether all that it needs has to be there; a sentence may name it alone
    """
    check = _CHECKS.get(words[0])
    open_end = words[-1] == MORE
    return check(list(words[1:-1] if open_end else words[1:]), whole and not open_end) if check else None


@cache
def _airflow() -> argparse.ArgumentParser:
    from airflow.cli.cli_parser import get_parser

    return get_parser()


@cache
def _airflow_edge() -> argparse.ArgumentParser:
    from airflow_edge.cli.site.main import build_parser

    return build_parser()


def _parsed(parser: argparse.ArgumentParser, words: list[str], whole: bool) -> str | None:
    error = io.StringIO()
    try:
        with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
            parser.parse_args(words)
    except SystemExit as ended:
        said = error.getvalue()
        # A command that is named without what it needs is there all the same.
        if ended.code and (whole or not re.search(r"are required|requires a subcommand", said)):
            return said.strip().splitlines()[-1] if said.strip() else f"exit status {ended.code}"
    return None


def _make(words: list[str], _: bool) -> str | None:
    return _made(tuple(words))


@cache
def _made(words: tuple[str, ...]) -> str | None:
    result = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return (result.stderr.strip() or "make fails") if result.returncode else None


def _python(words: list[str], _: bool) -> str | None:
    if words[:1] != ["-m"]:
        return None
    name = words[1].replace(".", "/")
    places = (ROOT / f"{name}.py", ROOT / name / "__main__.py")
    if any(place.exists() for place in places):
        return None
    top = words[1].partition(".")[0]
    known = {name for names in (d.read_text("top_level.txt") or d.metadata["Name"] for d in metadata.distributions())
             for name in names.split()}  # fmt: skip
    return None if top in known | {"venv", "pytest"} else f"there is no module {words[1]}"


def pip_complaint(words: list[str], _: bool = True) -> str | None:
    """Say what is wrong with what pip is to install: a requirement that is none, an extra that we have not."""
    if words[:1] != ["install"]:
        return f"pip {' '.join(words[:1])} is nothing that a page tells people to do"
    extras = set(metadata.metadata("airflow-edge").get_all("Provides-Extra") or ())
    for word in words[1:]:
        if word.startswith("-"):
            continue
        try:
            requirement = Requirement(word)
        except ValueError as error:
            return f"{word}: {error}"
        if requirement.name == "airflow-edge" and not requirement.extras <= extras:
            return f"airflow-edge has no extra {', '.join(sorted(requirement.extras - extras))}"
    return None


_CHECKS: dict[str, Callable[[list[str], bool], str | None]] = {
    "airflow": lambda words, whole: _parsed(_airflow(), words, whole),
    "airflow-edge": lambda words, whole: _parsed(_airflow_edge(), words, whole),
    "make": _make,
    "pip": pip_complaint,
    "python": _python,
    ".venv/bin/python": _python,
}
