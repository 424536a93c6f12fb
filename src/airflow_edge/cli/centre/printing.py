"""What all commands at the centre have in common: their audit entry, and how they print."""

from __future__ import annotations

import argparse
import functools
import gc
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from airflow.utils import yaml
from airflow.utils.cli import action_cli
from tabulate import tabulate  # type: ignore[import-untyped]

Command = Callable[[argparse.Namespace], None]


def audited(command: Command) -> Command:
    """Have Airflow check its database before the command, and note who called it."""

    @functools.wraps(command)
    def work(args: argparse.Namespace) -> None:
        # What Airflow has loaded stays: it is not searched for garbage time and again while thousands of rows are read.
        gc.freeze()
        command(args)

    wrapped: Command = action_cli(work)  # type: ignore[no-untyped-call]
    return wrapped


def print_as(rows: Sequence[Mapping[str, object]], output: str) -> None:
    """Print rows as a table, as JSON, as YAML or plainly, with Airflow's values.

    Airflow's own console lays out each cell of a table anew and takes seconds for thousands of workers.
    """
    if output == "json":
        print(json.dumps([_values(row) for row in rows]))
    elif output == "yaml":
        print(yaml.dump([_values(row) for row in rows]), end="")
    elif not rows:
        print("No data found")
    else:
        texts = [_as_text(row) for row in rows]
        if output == "table":
            texts = _told(texts)
        layout = "presto" if output == "table" else "plain"
        print(tabulate(texts, headers="keys", tablefmt=layout, disable_numparse=True))


def harmless(text: str) -> str:
    """Give a text that a terminal shows and does not obey: sites and other people may have written it."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def say(text: str) -> None:
    """Tell a person something beside the output, which a program may read."""
    print(text, file=sys.stderr)


def as_text(moment: datetime | None) -> str:
    """Give a time as a person and a program can read it; empty if there is none."""
    return "" if moment is None else moment.isoformat(timespec="seconds")


def _values(row: Mapping[str, object]) -> dict[str, object]:
    return {name: value if value is None or isinstance(value, list) else str(value) for name, value in row.items()}


def _as_text(row: Mapping[str, object]) -> dict[str, str]:
    return {name: harmless(_text(value)) for name, value in row.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, list) else str(value)


def _told(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Leave out the columns in which no row has anything to say."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    return [{name: row[name] for name in names} for row in rows]
