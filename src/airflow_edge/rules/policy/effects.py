"""What another policy changes, and what of a policy is about nothing that there is: a name may be mistyped."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice
from typing import Final

from airflow_edge.rules.policy.document import Globs, Matcher, Mode, PolicyDocument
from airflow_edge.rules.policy.policy import Policy
from airflow_edge.rules.policy.wording import MODES
from airflow_edge.texts import one_line

MOST_SAID: Final = 20
"""Of what is about nothing."""
MOST_LOOKED_AT: Final = 2_000
"""Different globs: each is compared with all names."""
_SPECIAL: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """The names that there are at a centre."""

    queues: frozenset[str]
    """Those that workers serve, or that have had jobs."""
    teams: frozenset[str]
    workers: frozenset[str]
    dags: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChange:
    """That another mode holds for a queue, or for all that a glob of `modes` is about if none of them is known."""

    queue: str
    before: Mode
    after: Mode

    @property
    def weakens(self) -> bool:
        """Whether less is denied than before, or seen."""
        return MODES.index(self.after) < MODES.index(self.before)


def mode_changes(before: PolicyDocument, after: PolicyDocument, queues: Collection[str]) -> list[ModeChange]:
    """Say for which queues another mode holds, those that are less protected first.

    :param queues: all that are known
    """
    globs = {*before.modes, *after.modes}
    plain = {glob for glob in globs if _SPECIAL.isdisjoint(glob)}
    names = {*queues, *plain}
    # A glob that no queue has matched yet stands for those that will come.
    names |= {glob for glob in globs - plain if not any(map(Matcher((glob,)).matches, names))}
    old, new = Policy(before, "").mode, Policy(after, "").mode
    changes = [ModeChange(queue=name, before=old(name), after=new(name)) for name in sorted(names)]
    return sorted((one for one in changes if one.before != one.after), key=lambda one: not one.weakens)


def about_nothing(document: PolicyDocument, known: KnownNames) -> list[str]:
    """Say in sentences which queues of `modes`, and which globs of rules, fit no name that there is."""
    asked: dict[tuple[str, str], bool] = {}

    def is_about_nothing(kind: str, glob: str) -> bool:
        key = kind, glob
        if key not in asked:
            names: frozenset[str] = getattr(known, kind)
            plain = _SPECIAL.isdisjoint(glob)
            some = glob in names or glob.strip("*") == "" or len(asked) >= MOST_LOOKED_AT
            asked[key] = not some and (plain or not any(map(Matcher((glob,)).matches, names)))
        return asked[key]

    def of(place: str, kind: str, globs: Globs) -> Iterator[str]:
        yield from (f"{place}: {_nothing(kind, glob, known)}" for glob in globs if is_about_nothing(kind, glob))

    found = chain(
        of("modes", "queues", tuple(document.modes)),
        *(
            of(f"rule {number}", kind, getattr(rule.who, kind))
            for number, rule in enumerate(document.rules, 1)
            for kind in _NOTHING
        ),
    )
    said = list(islice(found, MOST_SAID))
    return [*said, "there is more that is about nothing"] if next(found, None) is not None else said


_NOTHING: Final = {
    "teams": "there is no team {}",
    "queues": "no worker serves queue {}, and no job of it is known",
    "workers": "there is no worker {}",
    "dags": "there is no Dag {}",
}


def unknown_name(kind: str, name: str, known: KnownNames) -> str | None:
    """Say that there is nothing of a name; None if there is.

    :param kind: `teams`, `queues`, `workers` or `dags`
    """
    return None if name in getattr(known, kind) else _nothing(kind, name, known)


def _nothing(kind: str, name: str, known: KnownNames) -> str:
    nearest = get_close_matches(name[:100], sorted(getattr(known, kind)), n=1)
    meant = f"; did you mean '{one_line(nearest[0], 100)}'?" if nearest else ""
    return _NOTHING[kind].format(f"'{one_line(name, 100)}'") + meant
