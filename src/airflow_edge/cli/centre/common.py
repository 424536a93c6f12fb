"""What commands at the centre have in common: what they read, their audit entry, and how they print."""

from __future__ import annotations

import argparse
import functools
import gc
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from airflow.exceptions import AirflowException  # type: ignore[attr-defined]
from airflow.utils import yaml
from airflow.utils.cli import action_cli
from sqlalchemy.exc import SQLAlchemyError
from tabulate import tabulate  # type: ignore[import-untyped]

from airflow_edge.admin.config import read_patience, session
from airflow_edge.cli.pipes import while_somebody_reads
from airflow_edge.protocol.problems import QUEUE_NAME_RULE, is_queue_name, is_text
from airflow_edge.rules.durations import format_age
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.processes import at_the_centre
from airflow_edge.settings import SettingError
from airflow_edge.store.schema import in_words, trouble_of
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

TABLES: Final = frozenset({"table", "wide"})
"""Outputs for people."""
WATCH_INTERVAL: Final = 2.0
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
        with while_somebody_reads(), in_a_line():
            _refuse_no_text(args)
            with session() as airflow:
                if found := trouble_of(airflow):
                    raise Unusable(found)
            wrapped(args)

    return looked_after


def _refuse_no_text(args: argparse.Namespace) -> None:
    """Refuse what a terminal can pass on and no database takes: bytes that are not UTF-8, above all.

    :raises SystemExit: it is such.
    """
    for name, value in vars(args).items():
        texts = value if isinstance(value, list) else [value]
        if bad := next((one for one in texts if isinstance(one, str) and not is_text(one)), None):
            raise SystemExit(f"{name.replace('_', ' ')}: {bad[:60]!a} is no text; write it in UTF-8, without NUL.")


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

    :raises SystemExit: there is none, or one cannot be.
    """
    queues = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not queues:
        raise SystemExit("Name at least one queue: --queues default,gpu")
    if bad := next((queue for queue in queues if not is_queue_name(queue)), None):
        raise SystemExit(f"There can be no queue {bad[:60]!a} ({len(bad)} characters): {QUEUE_NAME_RULE}.")
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


def print_as(rows: Sequence[Mapping[str, object]], output: str, compact: Mapping[str, int] | None = None) -> None:
    """Print rows as a table, as JSON, as YAML or plainly.

    Programs get numbers as numbers and times as in ISO 8601, people get how long ago that was.
    Airflow's own console lays out each cell of a table anew and takes seconds for thousands of workers.

    :param compact: the columns of a table that is not `wide`, and how many characters they may take
    """
    if output == "json":
        print(json.dumps([_values(row) for row in rows]))
    elif output == "yaml":
        print(yaml.dump([_values(row) for row in rows]), end="")
    elif not rows:
        print("No data found")
    else:
        now = datetime.now(UTC)
        names = compact if output == "table" and compact else rows[0]
        texts = [{name: harmless(_text(row[name], now)) for name in names} for row in rows]
        if output == "table" and compact:
            texts = [{name: shortened(text, compact[name]) for name, text in row.items()} for row in texts]
        if output in TABLES:
            # Without the columns in which no row has anything to say.
            filled = [name for name in texts[0] if any(row[name] for row in texts)]
            texts = [{name: row[name] for name in filled} for row in texts]
        layout = "presto" if output in TABLES else "plain"
        print(tabulate(texts, headers="keys", tablefmt=layout, disable_numparse=True))


def harmless(text: str) -> str:
    """Give a text that a terminal shows and does not obey: sites and other people may have written it."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def say(text: str) -> None:
    """Tell a person something beside the output, which a program may read."""
    # In a terminal and in a file alike it stands after what was printed before it.
    sys.stdout.flush()
    print(text, file=sys.stderr)


def shortened(text: str, most: int) -> str:
    """Cut a text in its middle, since ids differ at their ends."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def counted(number: int, noun: str) -> str:
    """Say how many there are of something."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def watch(args: argparse.Namespace, show: Callable[[], None]) -> None:
    """Show a list once, or with `--watch` again and again until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        while True:
            if args.watch and sys.stdout.isatty():
                print("\x1b[H\x1b[2J", end="")
            show()
            if not args.watch:
                return
            sys.stdout.flush()
            time.sleep(WATCH_INTERVAL)


def warn_if_unserved(store: Store) -> None:
    """Say that what is listed is not of now, where no gateway keeps it up."""
    centre = at_the_centre(store.processes.all(), datetime.now(UTC))
    if not centre.gateways:
        last = centre.gateway_seen_at
        since = f"since {last:%Y-%m-%d %H:%M:%S} UTC" if last else "yet"
        say(f"No API server that serves edge workers has been alive {since}: this is what was stored last.")


def _values(row: Mapping[str, object]) -> dict[str, object]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value if value is None or isinstance(value, bool | int | float | list) else str(value)


def _text(value: object, now: datetime) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_age(value, now)
    return ",".join(value) if isinstance(value, list) else str(value)
