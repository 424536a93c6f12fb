"""Queues that the owner of a worker's machine has closed there, as the site says and as the store keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from airflow_edge.protocol.messages import Closed, one_line

CLOSED: Final = "closed_queues"
"""Among a worker's facts: `write_closures`."""
LONGEST_REASON: Final = 500
"""Characters that are kept."""
MOST_BYTES: Final = 32 * 1024
"""That are kept of all closures of a worker: no database has a text that is shorter."""


@dataclass(frozen=True, slots=True)
class Closure:
    """Why no job of a queue goes to a worker."""

    reason: str
    """In the site's words, cleaned."""
    for_good: bool
    """Not only for a time."""


def closures(said: Iterable[Closed]) -> dict[str, Closure]:
    """Give what a site has said, by queue."""
    return {queue: Closure(one_line(one.reason, LONGEST_REASON), one.for_good) for one in said for queue in one.queues}


def write_closures(closed: Mapping[str, Closure]) -> str:
    """Give them as they are kept: JSON, empty for none. Beyond `MOST_BYTES`, queues are left out."""
    groups: dict[Closure, list[str]] = {}
    size = 2
    for queue, closure in closed.items():
        # Of each character at most as much as its escape takes.
        size += len(msgspec.json.encode(queue)) + 1
        if closure not in groups:
            size += len(msgspec.json.encode(closure.reason)) + 20
        if size > MOST_BYTES:
            break
        groups.setdefault(closure, []).append(queue)
    kept = [(queues, closure.reason, closure.for_good) for closure, queues in groups.items()]
    return msgspec.json.encode(kept).decode() if kept else ""


def read_closures(text: str | None) -> dict[str, Closure]:
    """Read what `write_closures` gave; nothing of what does not look like it."""
    try:
        kept = msgspec.json.decode(text or "[]", type=list[tuple[list[str], str, bool]])
    except (msgspec.MsgspecError, ValueError):
        return {}
    return {queue: Closure(reason, for_good) for queues, reason, for_good in kept for queue in queues}
