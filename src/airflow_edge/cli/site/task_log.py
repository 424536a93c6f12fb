"""Airflow's task log for people: each line of it is a JSON object."""

from __future__ import annotations

from typing import Any

import msgspec

_HANDLED = frozenset({"timestamp", "level", "logger", "event", "error_detail"})


def readable(line: bytes) -> str:
    """Give time, level, logger and event of a line, and what else it says; anything but such an object as it is."""
    text = line.decode("utf-8", "replace")
    try:
        record = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    if "event" not in record:
        return text
    head = [str(record[name]) for name in ("timestamp", "level", "logger") if record.get(name)]
    if record.get("level"):
        head[bool(record.get("timestamp"))] = f"{str(record['level']).upper():<8}"
    others = [f"{name}={_value(value)}" for name, value in record.items() if name not in _HANDLED]
    lines = [" ".join([*head, str(record["event"]), *others])]
    lines += _errors(record.get("error_detail"))
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else repr(value)
    return msgspec.json.encode(value).decode("utf-8", "replace")


def _errors(detail: object) -> list[str]:
    """Write exceptions as Python does; anything unexpected as JSON."""
    if not detail:
        return []
    try:
        lines = []
        for error in reversed(msgspec.convert(detail, list[_Error])):
            lines.append("Traceback (most recent call last):")
            lines += [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in error.frames]
            lines.append(f"{error.exc_type}: {error.exc_value}")
    except msgspec.ValidationError:
        return [msgspec.json.encode(detail).decode("utf-8", "replace")]
    return lines


class _Frame(msgspec.Struct):
    filename: str = "?"
    lineno: int = 0
    name: str = "?"


class _Error(msgspec.Struct):
    exc_type: str = "?"
    exc_value: str = ""
    frames: list[_Frame] = []
