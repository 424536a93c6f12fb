"""A policy as it is written down: who may what, and on which queues that counts."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from airflow_edge.rules.policy.grants import OF_DAGS, RELATIONS, Grant

Mode: TypeAlias = Literal["off", "report", "enforce"]
"""`off`: nobody looks. `report`: it is noted what would be denied. `enforce`: it is denied."""
Glob: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Globs: TypeAlias = Annotated[tuple[Glob, ...], msgspec.Meta(max_length=1000)]
MOST_RULES: Final = 5000


class PolicyError(ValueError):
    """A policy that cannot be one; says where, and what to write."""


class WhoDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose calls a rule is about: all that is given has to match. Nothing given is everybody."""

    teams: Globs = ()
    queues: Globs = ()
    workers: Globs = ()
    dags: Globs = ()
    tasks: Globs = ()


class RuleDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One rule: it grants, and never takes away."""

    note: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    who: WhoDocument = WhoDocument()
    may: dict[Grant, Globs]


class PolicyDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole policy."""

    modes: Annotated[dict[Glob, Mode], msgspec.Meta(max_length=1000)] = {}
    """By queue; the first glob that matches counts. A queue that none matches is `off`."""
    rules: Annotated[tuple[RuleDocument, ...], msgspec.Meta(max_length=MOST_RULES)] = ()


def read_document(value: object) -> PolicyDocument:
    """Read a policy from what a JSON, YAML or TOML file holds.

    :raises PolicyError: it is none, and where.
    """
    try:
        document = msgspec.convert(value, PolicyDocument)
    except msgspec.ValidationError as error:
        raise PolicyError(f"the policy is not one: {error}") from None
    for number, rule in enumerate(document.rules):
        if not rule.may:
            raise PolicyError(f"rule {number + 1} grants nothing: name what under `may`, or leave it out")
        for grant, names in rule.may.items():
            for name in names:
                if name.startswith("@") and not (grant in OF_DAGS and name in RELATIONS):
                    known = f"of {', '.join(RELATIONS)}" if grant in OF_DAGS else "such a word, which stands for Dags"
                    raise PolicyError(f"rule {number + 1}: {name!r} under `{grant}` is none {known}")
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError:
        raise PolicyError("the policy has half a character in it (a lone surrogate), which no text can have") from None
    return document


def to_plain(document: PolicyDocument) -> Mapping[str, object]:
    """Give a policy as what a JSON or YAML file holds."""
    plain: Mapping[str, object] = msgspec.json.decode(msgspec.json.encode(document))
    return plain


def pattern_of(globs: Globs) -> re.Pattern[str]:
    """Give what matches, as a whole, whatever one of these globs (of `fnmatch`, upper and lower case apart) matches."""
    return re.compile("|".join(map(fnmatch.translate, globs)) or r"(?!)")


def literal(name: str) -> str:
    """Give the glob that matches this name only."""
    return re.sub(r"[*?\[]", r"[\g<0>]", name)
