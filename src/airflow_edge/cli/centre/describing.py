"""How a command of `airflow edge` is described, never without an example, and how its arguments are read.

Every `airflow` command loads this, so it imports next to nothing. What reads an argument raises
`argparse.ArgumentTypeError`, which says what is wrong with it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.cli.cli_config import ARG_VERBOSE, ActionCommand, Arg, lazy_load_command

from airflow_edge.cli.example import as_epilog

LONGEST_COMMENT: Final = 4096
"""Characters: `protocol.messages.MAX_TEXT`, which is not imported for every `airflow` command."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def literal(text: str) -> str:
    """Have a text printed as it is: Airflow's help would take `[edge]` for markup and leave it out."""
    return re.sub(r"(?=\[[a-z#/@])", r"\\", text)


def plain(text: str) -> str:
    """Give a text back that was made `literal`."""
    return text.replace(r"\[", "[")


def arg(*flags: str, **options: Any) -> Arg:
    """Describe an argument, as `argparse` wants it."""
    if "help" in options:
        options["help"] = literal(options["help"])
    return Arg(flags, **options)  # type: ignore[no-untyped-call]


def command(
    name: str,
    text: str,
    function: str | Callable[[argparse.Namespace], None],
    *args: Arg,
    example: str,
    description: str = "",
    verbose: bool = True,
) -> ActionCommand:
    """Describe a command.

    :param text: what it does, in a line
    :param function: what does it; `module.function` here is imported only when the command is called
    :param example: see `as_epilog`
    :param description: the same at more length
    :param verbose: whether it can be told to say more
    """
    return ActionCommand(
        name=name,
        help=literal(text),
        description=literal(description) or None,
        func=lazy_load_command(f"{__package__}.{function}") if isinstance(function, str) else function,
        args=(*args, ARG_VERBOSE) if verbose else args,
        epilog=literal(as_epilog(example)),
    )


def duration(text: str) -> timedelta:
    """Read a duration like `30m`, `1h` or `7d`, of up to ten years."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a duration; write it like 30m, 1h or 7d")
    length = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    if not timedelta(0) < length <= timedelta(days=3650):
        raise argparse.ArgumentTypeError(f"'{text}' is not possible; it has to be between 1s and 3650d")
    return length


def grace(text: str) -> timedelta:
    """Read how long jobs are waited for: seconds, or a number with a unit."""
    from airflow_edge.rules.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def grace_or_default(text: str) -> timedelta | None:
    """Read the same, or `default`, which stands for none of a worker's own."""
    return None if text == "default" else grace(text)


def moment(text: str) -> datetime:
    """Read a time to come: in how long, or when, by this machine's clock and zone unless it says another."""
    from airflow_edge.rules.durations import LONGEST

    now = datetime.now(UTC)
    if re.fullmatch(r"[0-9]{1,9}[smhd]", text):
        found = now + duration(text)
    else:
        try:
            found = datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise argparse.ArgumentTypeError(
                f"'{text}' is no time; write how long, like 30m, 12h or 2d, or when, like 2026-01-15T18:00"
            ) from None
    if not timedelta(0) < found - now <= LONGEST:
        raise argparse.ArgumentTypeError(f"'{text}' has to be in the future, within {LONGEST.days} days")
    return found


def positive(text: str, most: int = 999_999) -> int:
    """Read a number of at least one."""
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number between 1 and {most}")
    return int(text)


def slots(text: str) -> int:
    """Read a number of slots, or of rows."""
    return positive(text, most=10_000)


def days(text: str) -> int:
    """Read a number of days."""
    return positive(text, most=3650)


def seconds(text: str) -> float:
    """Read a number of seconds."""
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return float(text)


def comment(text: str) -> str:
    """Read what people are to see beside a worker."""
    if not 1 <= len(text.strip()) <= LONGEST_COMMENT:
        raise argparse.ArgumentTypeError(f"a comment has between 1 and {LONGEST_COMMENT} characters")
    return text


def worker_name(text: str) -> str:
    """Read a worker's new name."""
    from airflow_edge.protocol.problems import WORKER_NAME, WORKER_NAME_RULE

    if not re.fullmatch(WORKER_NAME, text):
        raise argparse.ArgumentTypeError(f"'{text}' is not possible: {WORKER_NAME_RULE}")
    return text
