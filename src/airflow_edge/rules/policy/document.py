"""A policy as it is written down: who may what, and on which queues that counts."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from airflow_edge.rules.policy.grants import OF_DAGS, RELATIONS, Grant
from airflow_edge.rules.policy.wording import in_words

Mode: TypeAlias = Literal["off", "report", "enforce"]
"""`off`: nobody looks. `report`: it is noted what would be denied. `enforce`: it is denied."""
Glob: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Globs: TypeAlias = Annotated[tuple[Glob, ...], msgspec.Meta(max_length=1000)]
WhoGlobs: TypeAlias = Annotated[
    tuple[Annotated[str, msgspec.Meta(max_length=1000)], ...], msgspec.Meta(max_length=1000)
]
"""An empty one is about those that have none: a callback is no task."""
MOST_RULES: Final = 5000
_HALF_A_CHARACTER: Final = "the policy has half a character in it (a lone surrogate), which no text can have"
_SPECIAL: Final = re.compile(r"[*?\[]")


class PolicyError(ValueError):
    """A policy that cannot be one; says where, and what to write."""


class EmptyPolicyError(PolicyError):
    """What says nothing: a file that is being written, or one of which all is commented out. It is nobody's wish."""

    def __init__(self) -> None:
        super().__init__("the policy says nothing; for one that asks nobody for anything, write `modes: {'*': off}`")


class WhoDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose calls a rule is about: all that is given has to match. Nothing given is everybody."""

    teams: WhoGlobs = ()
    queues: WhoGlobs = ()
    workers: WhoGlobs = ()
    dags: WhoGlobs = ()
    tasks: WhoGlobs = ()


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
    except UnicodeEncodeError:
        raise PolicyError(_HALF_A_CHARACTER) from None
    except msgspec.ValidationError as error:
        raise PolicyError(in_words(value, str(error))) from None
    for number, rule in enumerate(document.rules):
        if not rule.may:
            raise PolicyError(f"rule {number + 1}: it grants nothing: name what under `may`, or leave it out")
        for grant, names in rule.may.items():
            for name in names:
                if name.startswith("@") and not (grant in OF_DAGS and name in RELATIONS):
                    known = f"of {', '.join(RELATIONS)}" if grant in OF_DAGS else "such a word, which stands for Dags"
                    raise PolicyError(f"rule {number + 1}: {name!r} under `{grant}` is none {known}")
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError:
        raise PolicyError(_HALF_A_CHARACTER) from None
    return document


def to_plain(document: PolicyDocument) -> Mapping[str, object]:
    """Give a policy as what a JSON or YAML file holds."""
    plain: Mapping[str, object] = msgspec.json.decode(msgspec.json.encode(document))
    return plain


class Matcher:
    """What matches, as a whole, whatever one of some globs (of `fnmatch`, upper and lower case apart) matches.

    It takes time by the length of the globs and of the name, not by their product as a regular expression does: tasks
    choose the names.
    """

    def __init__(self, globs: Globs) -> None:
        self._names = {glob for glob in globs if not _SPECIAL.search(glob)}
        special = [glob for glob in dict.fromkeys(globs) if glob not in self._names]
        texts = [glob.split("*") for glob in special if "?" not in glob and "[" not in glob]
        begins = {parts[0] for parts in texts if len(parts) == 2 and not parts[1]}
        # Most globs are of this kind, and all of them are looked at together.
        self._begins = tuple(begins)
        self._parts = [(first, rest, last) for first, *rest, last in texts if rest or last]
        others = [glob for glob in special if "?" in glob or "[" in glob]
        self._others = re.compile("|".join(map(fnmatch.translate, others))) if others else None

    def matches(self, name: str) -> bool:
        """Say whether one of them matches."""
        if name in self._names or name.startswith(self._begins):
            return True
        if self._parts and any(_fits(name, *parts) for parts in self._parts):
            return True
        return self._others is not None and self._others.fullmatch(name) is not None


def _fits(name: str, first: str, rest: list[str], last: str) -> bool:
    """Say whether a name has these parts, one after another, from its beginning to its end."""
    if not name.startswith(first) or not name.endswith(last):
        return False
    place, end = len(first), len(name) - len(last)
    for part in rest:
        # The first place is the best: it leaves the most for what comes after.
        found = name.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return place <= end


def literal(name: str) -> str:
    """Give the glob that matches this name only, and is none of the words that begin with `@`."""
    return re.sub(r"[*?\[]|^@", r"[\g<0>]", name)
