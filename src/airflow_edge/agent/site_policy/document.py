"""A site policy as its owner writes it: a TOML file, of which nothing is guessed."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from airflow_edge.agent.site_policy.hours import Hours, HoursError, read_hours
from airflow_edge.agent.site_policy.policy import SitePolicy, SitePolicyError
from airflow_edge.protocol.messages import one_line
from airflow_edge.texts import no_such_key

MOST_ENTRIES: Final = 1_000
"""Of one list."""
_BOM: Final = b"\xef\xbb\xbf"
"""Some editors begin a file with it."""


def parse(content: bytes) -> SitePolicy:
    """Read a policy.

    :raises SitePolicyError: it makes no sense, or has a key that means nothing.
    """
    try:
        document = tomllib.loads(content.removeprefix(_BOM).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        # The parser says where. What it raises besides its own is a ValueError, or too deep a nesting.
        raise SitePolicyError(one_line(f"it is no TOML: {error}", 300)) from error
    if not document:
        # What is being written anew is empty for a moment.
        raise SitePolicyError(
            "it says nothing; for a machine on which anything is allowed, take out [edge] site_policy"
        )
    for key in document:
        if key not in _READERS:
            raise SitePolicyError(no_such_key(key, _READERS))
    read: Mapping[str, Any] = {key: _READERS[key](key, value) for key, value in document.items()}
    if "time_zone" in read and "hours" not in read:
        raise SitePolicyError("'time_zone' is that of 'hours', and there are none")
    return SitePolicy(**read)


def _texts(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise SitePolicyError(f"'{key}' has to be a list of texts, like {key} = [\"{_EXAMPLES[key]}\"]")
    if len(value) > MOST_ENTRIES:
        raise SitePolicyError(f"'{key}' has more than {MOST_ENTRIES} entries")
    return tuple(value)


def _hours(key: str, value: object) -> tuple[Hours, ...]:
    try:
        return tuple(read_hours(text) for text in _texts(key, value))
    except HoursError as error:
        raise SitePolicyError(one_line(f"'{key}': {error}", 300)) from error


def _users(key: str, value: object) -> tuple[str, ...]:
    if sys.platform == "darwin":
        # There Airflow runs a task in another interpreter than the runtime's, which would not look.
        raise SitePolicyError(f"'{key}' is for Linux; on macOS sudo alone says whose tasks may be")
    return _texts(key, value)


def _bytes(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if not isinstance(value, str) or (found := _SIZE.fullmatch(value.strip())) is None:
        raise SitePolicyError(f"'{key}' has to be a number of bytes, or one with a unit, like \"10 MiB\"")
    return int(float(found[1]) * _UNITS[found[2]])


def _boolean(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SitePolicyError(f"'{key}' has to be true or false")
    return value


def _zone(key: str, value: object) -> ZoneInfo:
    try:
        return ZoneInfo(value if isinstance(value, str) else "")
    # Which of them depends on what is in its place in the machine's data base of time zones.
    except (ValueError, LookupError, OSError) as error:
        raise SitePolicyError(
            f"'{key}' has to be a time zone that this machine knows, like \"Europe/Vienna\""
        ) from error


_EXAMPLES: Final[Mapping[str, str]] = {
    "queues": "plc-*",
    "dags": "press_*",
    "bundles": "factory",
    "users": "press",
    "hours": "Mon-Fri 06:00-22:00",
}
_SIZE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(KiB|MiB|GiB)", re.ASCII)
_UNITS: Final[Mapping[str, int]] = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "queues": _texts,
    "dags": _texts,
    "bundles": _texts,
    "callbacks": _boolean,
    "users": _users,
    "max_log": _bytes,
    "hours": _hours,
    "time_zone": _zone,
}
