"""How the arguments of `airflow edge` are read. Every `airflow` command loads this, so it imports next to nothing."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from typing import Final

LONGEST_COMMENT: Final = 4096
"""Characters: `protocol.messages.MAX_TEXT`, which is not imported for every `airflow` command."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta:
    """Read a duration like `30m`, `1h` or `7d`.

    :raises argparse.ArgumentTypeError: it is none, or is zero, or longer than ten years.
    """
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a duration; write it like 30m, 1h or 7d")
    length = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    if not timedelta(0) < length <= timedelta(days=3650):
        raise argparse.ArgumentTypeError(f"'{text}' is not possible; it has to be between 1s and 3650d")
    return length


def grace(text: str) -> timedelta:
    """Read how long jobs are waited for: seconds, or a number with a unit.

    :raises argparse.ArgumentTypeError: it is none.
    """
    from airflow_edge.rules.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def grace_or_default(text: str) -> timedelta | None:
    """Read the same, or `default`, which stands for none of a worker's own.

    :raises argparse.ArgumentTypeError: it is neither.
    """
    return None if text == "default" else grace(text)


def positive(text: str) -> int:
    """Read a number of at least one.

    :raises argparse.ArgumentTypeError: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number between 1 and 999999")
    return int(text)


def seconds(text: str) -> float:
    """Read a number of seconds.

    :raises argparse.ArgumentTypeError: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return float(text)


def slots(text: str) -> int:
    """Read a number of slots, or of rows.

    :raises argparse.ArgumentTypeError: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number between 1 and 100000")
    return int(text)


def comment(text: str) -> str:
    """Read what people are to see beside a worker.

    :raises argparse.ArgumentTypeError: it is empty or too long.
    """
    if not 1 <= len(text.strip()) <= LONGEST_COMMENT:
        raise argparse.ArgumentTypeError(f"a comment has between 1 and {LONGEST_COMMENT} characters")
    return text


def worker_name(text: str) -> str:
    """Read a worker's new name.

    :raises argparse.ArgumentTypeError: no worker can be called so.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}", text):
        raise argparse.ArgumentTypeError(
            f"'{text}' cannot be a worker's name: it has to begin with a letter or digit and to consist of at most 200 "
            "letters, digits and . _ @ -"
        )
    return text
