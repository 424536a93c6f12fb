"""What commands at the centre have in common: what they read, their audit entry, and how they print."""

from __future__ import annotations

import argparse
import functools
import gc
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from airflow.exceptions import AirflowException  # type: ignore[attr-defined]
from airflow.utils import yaml
from airflow.utils.cli import action_cli
from sqlalchemy.exc import SQLAlchemyError
from tabulate import tabulate  # type: ignore[import-untyped]

from airflow_edge.admin.config import read_patience, session
from airflow_edge.rules.liveness import Patience
from airflow_edge.settings import SettingError
from airflow_edge.store.schema import in_words, trouble_of
from airflow_edge.store.tables import MAX_QUEUE_LENGTH

log = logging.getLogger(__name__)

UNUSABLE: Final = 3
"""The exit status where the database cannot be worked on."""

Command = Callable[[argparse.Namespace], None]
Choice = TypeVar("Choice", bound=StrEnum)


def audited(command: Command) -> Command:
    """Have Airflow check its database before the command, and note who called it.

    A database that cannot be worked on is said in a line, before Airflow itself tries.
    """

    @functools.wraps(command)
    def work(args: argparse.Namespace) -> None:
        # What Airflow has loaded stays: it is not searched for garbage time and again while thousands of rows are read.
        gc.freeze()
        command(args)

    wrapped: Command = action_cli(work)  # type: ignore[no-untyped-call]

    @functools.wraps(command)
    def looked_after(args: argparse.Namespace) -> None:
        with in_a_line():
            with session() as airflow:
                if found := trouble_of(airflow):
                    raise Unusable(found)
            wrapped(args)

    return looked_after


class Unusable(SystemExit):
    """Ends a command because the database cannot be worked on."""

    def __init__(self, why: str) -> None:
        say(f"Nothing was done: {why}.")
        super().__init__(UNUSABLE)


@contextmanager
def in_a_line() -> Iterator[None]:
    """Turn what a database or Airflow's configuration makes impossible into a line that says what to do."""
    try:
        yield
    except SQLAlchemyError as error:
        log.debug("The database failed", exc_info=True)
        say(f"This was not done to its end: {in_words(error)}.")
        raise SystemExit(UNUSABLE) from None
    except SettingError as error:
        raise SystemExit(str(error)) from None
    except AirflowException as error:
        log.debug("Airflow failed", exc_info=True)
        raise SystemExit(f"{error}\nSee: airflow edge check") from None


def queue_names(text: str) -> list[str]:
    """Read a comma-separated list of queues.

    :raises SystemExit: there is none, or one is too long.
    """
    queues = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not queues:
        raise SystemExit("Name at least one queue: --queues default,gpu")
    if too_long := next((queue for queue in queues if len(queue) > MAX_QUEUE_LENGTH), None):
        raise SystemExit(f"A queue's name has at most {MAX_QUEUE_LENGTH} characters, not {len(too_long)}.")
    return queues


def one_of(kind: type[Choice], names: Iterable[str] | None) -> list[Choice]:
    """Read the names of states.

    :raises SystemExit: one is none.
    """
    try:
        return [kind(name) for name in names or ()]
    except ValueError as error:
        raise SystemExit(f"{error}; there are: {', '.join(kind)}") from None


def patience() -> Patience:
    """Read from the settings how long workers out of reach are waited for.

    :raises SystemExit: a setting makes no sense.
    """
    try:
        return read_patience()
    except SettingError as error:
        raise SystemExit(str(error)) from None


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
        texts = [{name: harmless(_text(value)) for name, value in row.items()} for row in rows]
        if output == "table":
            # Without the columns in which no row has anything to say.
            names = [name for name in texts[0] if any(row[name] for row in texts)]
            texts = [{name: row[name] for name in names} for row in texts]
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


def _text(value: object) -> str:
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, list) else str(value)
