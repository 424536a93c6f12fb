"""What looks like a setting of `[edge]` and is none: it is passed over in silence unless somebody says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

from airflow_edge.settings.centre import CENTRE
from airflow_edge.settings.setting import SECTION
from airflow_edge.settings.site import SITE

EDGE3: Final = frozenset(
    {
        "drain_kill_grace_sec",
        "drain_timeout_sec",
        "job_poll_interval",
        "jwt_algorithm",
        "jwt_audience",
        "jwt_issuer",
        "jwt_leeway",
        "jwt_verifier",
        "minimum_acceptable_core_version_for_workers",
        "minimum_acceptable_edge_version_for_workers",
        "push_log_chunk_size",
        "push_logs",
        "trusted_jwks_url",
    }
)
"""Settings of Airflow's own edge provider that are none here: a site may still have them."""
NEAR: Final = 0.8
"""How alike two names are of which one is the other misspelt, by difflib's measure."""
_SETTINGS: Final = {setting.name: setting for setting in (*CENTRE, *SITE)}
_KNOWN: Final = frozenset(_SETTINGS) | EDGE3
# As Airflow reads what is sensitive: from a command's output, or by its name in a secrets backend.
_BY_WAY: Final = {f"{one.name}{way}" for one in _SETTINGS.values() if one.sensitive for way in ("_cmd", "_secret")}
_PREFIX: Final = f"AIRFLOW__{SECTION.upper()}__"
_LIKE_PREFIX: Final = re.compile(rf"_*AIRFLOW_+{SECTION}_+(\w+)", re.IGNORECASE)


class Unread(NamedTuple):
    """Something that nobody reads."""

    place: str
    """Where it stands, for a person."""
    meant: str = ""
    """The setting that it may have been meant for; empty if there is none like it."""
    near: bool = False
    """Whether it is hardly anything else."""

    @property
    def guards(self) -> bool:
        """Whether somebody believes something kept out that is not, as long as the setting has no value elsewhere."""
        return self.near and _SETTINGS[self.meant].guards

    def __str__(self) -> str:
        """Say so in a line."""
        meant = f"did you mean '{self.meant}' in [{SECTION}]?" if self.meant else "there is no such setting"
        return f"{self.place} is not read ({meant})"


def unread(options: Mapping[str, Iterable[str]], file: object, variables: Iterable[str], side: str) -> Iterator[Unread]:
    """Give what is not read, of a configuration file and of an environment.

    :param options: of the file, by its sections
    :param side: whose guards count, "centre" or "site"
    """
    for section, names in options.items():
        for name in names:
            if (found := _in_file(section, name, side)) is not None:
                yield found._replace(place=f"[{section}] {name} in {file}")
    for variable in sorted(variables):
        if (found := _in_environment(variable, side)) is not None:
            yield found._replace(place=f"the environment variable {variable}")


def _in_file(section: str, name: str, side: str) -> Unread | None:
    if section == SECTION:
        return None if name in _KNOWN or name in _BY_WAY else _like(name, side)
    if get_close_matches(section.strip().lower(), [SECTION], cutoff=NEAR):
        found = _like(name, side)
        return found if found.near else None
    # Another section has settings of its own, which may have names like ours.
    return _like(name, side) if name in _SETTINGS and _guards(name, side) else None


def _in_environment(variable: str, side: str) -> Unread | None:
    if variable.startswith(_PREFIX):
        name = variable.removeprefix(_PREFIX)
        known = name.isupper() and (name.lower() in _KNOWN or name.lower() in _BY_WAY)
        return None if known else _like(name.lower(), side)
    # Ours for other purposes are called so as well.
    match = _LIKE_PREFIX.fullmatch(variable)
    return _like(match[1].lower(), side) if match and match[1].lower() in _SETTINGS else None


def _like(name: str, side: str) -> Unread:
    for cutoff in (NEAR, 0.6):
        # What guards goes before what is as like.
        if found := get_close_matches(name, sorted(_SETTINGS, key=lambda one: not _guards(one, side)), cutoff=cutoff):
            return Unread("", found[0], cutoff == NEAR and (not _SETTINGS[found[0]].guards or _guards(found[0], side)))
    return Unread("")


def _guards(name: str, side: str) -> bool:
    return _SETTINGS[name].guards and _SETTINGS[name].side == side
