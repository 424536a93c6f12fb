"""A policy as people write it: JSON, TOML or YAML."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from airflow.utils import yaml

from airflow_edge.rules.policy.document import EmptyPolicyError, PolicyDocument, PolicyError, read_document

LONGEST: Final = 2**20
"""Characters."""
MOST_DEPTH: Final = 20
"""Levels of lists and mappings; a policy has five. libyaml falls over thousands, and takes minutes for hundreds."""
_LONG_KEY: Final = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""")
"""A key in TOML whose parts its reader would take time for by their square."""

_OPENING: Final = (
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
)
_CLOSING: Final = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
# In C where it is to be had: five times as fast.
_BASE: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_BOM: Final = "\ufeff"
"""What some editors begin a file with."""
_TWICE_IN_TOML: Final = re.compile(r"Cannot (overwrite|declare|mutate) |Duplicate inline table key ")
_LINE: Final = 100
_NOTHING: Final[tuple[object, ...]] = (None, {}, [], "", "~", "null", "Null", "NULL")
"""What a text comes to that has nothing but comments, white space and words for nothing. YAML is read as texts."""


@lru_cache(8)
def read_policy(text: str) -> PolicyDocument:
    """Read a policy, whichever of the three it is written in; what was read lately is not read again.

    :raises EmptyPolicyError: it says nothing.
    :raises PolicyError: it is none, and where.
    """
    if len(text) > LONGEST:
        raise PolicyError(f"the policy is longer than {LONGEST} characters")
    try:
        plain = _plain(text)
        if plain in _NOTHING:
            raise EmptyPolicyError
        return read_document(plain)
    except RecursionError:
        raise PolicyError("the policy is nested too deeply") from None


def read_kept(text: str) -> PolicyDocument:
    """Read a policy that was set: one that says nothing could be set once, and asks nobody for anything.

    :raises PolicyError: it is none, and where.
    """
    try:
        return read_policy(text)
    except EmptyPolicyError:
        return PolicyDocument()


def read_file(path: Path, *, regular: bool = True) -> str:
    """Give the text in a policy's file.

    :param regular: it has to be one that does not keep its reader waiting, as a pipe does
    :raises PolicyError: it cannot be read, or is far too long.
    """
    try:
        # A pipe is opened at once so, whether somebody writes to it or not.
        with open(path, encoding="utf-8", opener=_open_at_once if regular else None) as file:
            if regular and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PolicyError(f"{path} cannot be read: it is no regular file")
            text = file.read(LONGEST + 1)
    except PolicyError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise PolicyError(f"{path} cannot be read: {reason}") from None
    if len(text) > LONGEST:
        raise PolicyError(f"{path} is longer than {LONGEST} characters")
    return text


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _plain(text: str) -> object:
    text = text.removeprefix(_BOM)
    if not text.strip():
        return None
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except PolicyError:
        raise
    except ValueError:
        pass
    try:
        if _LONG_KEY.search(text) is None:
            return tomllib.loads(text)
        not_toml = "a key of it has more than 50 parts"
    except ValueError as error:
        not_toml = str(error)
        if _TWICE_IN_TOML.match(not_toml):
            raise PolicyError(f"the policy says something twice: {not_toml}: {_line_of(not_toml, text)!r}") from None
    try:
        _look_through(text)
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, UnicodeEncodeError) as error:  # type: ignore[attr-defined]
        said = " ".join(str(error).split())
        raise PolicyError(f"the policy is neither JSON nor TOML ({not_toml}) nor YAML ({said})") from None


def _once_each(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its members; of two with one name, most readers take the last and say nothing."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise PolicyError(f"the policy has the key {name!r} twice")
        found[name] = value
    return found


def _line_of(error: str, text: str) -> str:
    """Give the line that an error of the TOML reader is about: it does not name the key."""
    lines = text.strip().split("\n")
    place = re.search(r"at line (\d+)", error)
    return lines[min(int(place[1]), len(lines)) - 1 if place else -1].strip()[:_LINE]


class _Loader(_BASE):  # type: ignore[misc]
    """All that a policy holds is texts: YAML itself takes `off` for false, and a Dag called 2026 for a number."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        # What is no text is none of a policy's keys, which is said later.
        for key in (key for key, _ in node.value if isinstance(key.value, str)):
            if key.value in names:
                where = f"line {key.start_mark.line + 1}"
                raise PolicyError(f"the policy has the key {key.value!r} twice, the second time in {where}")
            names.add(key.value)
        return dict(super().construct_mapping(node, deep))


def _look_through(text: str) -> None:
    """Refuse, before it is loaded, YAML that takes more than its length to load.

    :raises PolicyError: it is such.
    """
    depth = 0
    for token in yaml.scan(text, Loader=_Loader):
        if isinstance(token, yaml.AliasToken):
            # A few of them unfold into more than there is room for.
            raise PolicyError("the policy has a YAML alias (`*name`); write a glob that begins so in quotes: '*name'")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MOST_DEPTH:
            raise PolicyError("the policy is nested too deeply")
