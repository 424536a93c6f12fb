"""What all commands at the centre have in common: their audit entry, and how they print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from airflow.cli.simple_table import AirflowConsole
from airflow.utils.cli import action_cli
from rich.markup import escape

Command = Callable[[argparse.Namespace], None]


def audited(command: Command) -> Command:
    """Have Airflow check its database before the command, and note who called it."""
    wrapped: Command = action_cli(command)  # type: ignore[no-untyped-call]
    return wrapped


def print_as(rows: Sequence[Mapping[str, object]], output: str) -> None:
    """Print rows as a table, as JSON, as YAML or plainly."""
    AirflowConsole().print_as(data=rows, output=output, mapper=_MAPPERS.get(output))


def harmless(text: str) -> str:
    """Give a text that a terminal shows and does not obey: sites and other people may have written it."""
    return "".join(char if char.isprintable() else " " for char in text)


def say(text: str) -> None:
    """Tell a person something beside the output, which a program may read."""
    print(text, file=sys.stderr)


def as_text(moment: datetime | None) -> str:
    """Give a time as a person and a program can read it; empty if there is none."""
    return "" if moment is None else moment.isoformat(timespec="seconds")


def _as_text(row: Mapping[str, object]) -> dict[str, str]:
    return {name: harmless(",".join(value) if isinstance(value, list) else str(value)) for name, value in row.items()}


def _as_markup(row: Mapping[str, object]) -> dict[str, str]:
    # Airflow's table takes what is in brackets for markup: it would swallow it, or fail.
    return {name: escape(value) for name, value in _as_text(row).items()}


_MAPPERS: Final = {"table": _as_markup, "plain": _as_text}
