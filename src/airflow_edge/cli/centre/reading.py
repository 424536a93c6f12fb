"""What commands read from their arguments once they are called, and end with a word where it makes no sense."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from airflow_edge.store.tables import MAX_QUEUE_LENGTH

Choice = TypeVar("Choice", bound=StrEnum)


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
