"""What has happened lately: the events of the core, each with the commands that it led to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Set
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from airflow_edge.agent.core.events import Command, Event, Seen
from airflow_edge.protocol.assignment import AssignmentKey

KEPT = 500
"""Events."""
LONGEST_TEXT = 200


class Happened(NamedTuple):
    """An event, as a person reads it."""

    at: str
    """UTC, ISO 8601."""
    event: str
    commands: tuple[str, ...]
    error: str
    """Why the core could not do with the event what it should; empty for nothing."""


class History:
    """The last events. Signs of life that led to nothing are left out: they would soon be all that there is."""

    def __init__(self, kept: int = KEPT) -> None:
        self._last: deque[Happened] = deque(maxlen=kept)

    def note(self, event: Event, commands: Iterable[Command], error: str = "") -> None:
        """Add an event."""
        told = tuple(_brief(command) for command in commands)
        if told or error or not isinstance(event, Seen):
            self._last.append(
                Happened(datetime.now(UTC).isoformat(timespec="milliseconds"), _brief(event), told, error)
            )

    def last(self) -> list[dict[str, Any]]:
        """Give all that are kept, the oldest first."""
        return [happened._asdict() for happened in self._last]

    def about(self, key: AssignmentKey | None, most: int = 20) -> str:
        """Say what has happened to a job lately, or, without a key, at all: a line each."""
        lines = [
            f"{at} {event} -> {', '.join(commands) or 'nothing'}"
            for at, event, commands, _ in self._last
            if key is None or any(key.job_id in text for text in (event, *commands))
        ]
        return "\n".join(lines[-most:]) or "nothing"


def _brief(value: object) -> str:
    """Give a value as Python would write it, without what is empty or as long as a workload."""
    match value:
        case msgspec.Struct():
            fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
            told = ", ".join(f"{name}={_brief(field)}" for name, field in fields if not _is_nothing(field))
            return f"{type(value).__name__}({told})"
        case AssignmentKey():
            return str(value)
        case bytes():
            return f"{len(value)} bytes"
        case str():
            return repr(value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}…")
        case Mapping():
            return f"{{{', '.join(f'{_brief(key)}: {_brief(field)}' for key, field in value.items())}}}"
        case Set():
            return f"{{{', '.join(sorted(map(_brief, value)))}}}"
        case _:
            return repr(value)


def _is_nothing(value: object) -> bool:
    return value is None or value is False or (isinstance(value, str | bytes | tuple | Set | Mapping) and not value)
