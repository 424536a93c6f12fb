"""What is wrong with a policy that cannot be one, in the words of who has written it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from airflow_edge.rules.policy.grants import Grant
from airflow_edge.texts import meant, no_such_key, one_line

MODES: Final = ("off", "report", "enforce")
_KEYS: Final = ("modes", "rules")
_RULE: Final = ("note", "who", "may")
_WHO: Final = ("teams", "queues", "workers", "dags", "tasks")
_GRANTS: Final = tuple(map(str, Grant))
_PLACE: Final = re.compile(r"\$\.rules\[(\d+)\]")
_MOST: Final = 100
"""Characters of what is quoted."""


def in_words(value: object, otherwise: str) -> str:
    """Say what is wrong with the first thing that is.

    :param otherwise: what its reader says, for what is not looked at here
    """
    found = next(_wrong(value), None)
    return found or f"the policy is not one: {_PLACE.sub(lambda place: f'rule {int(place[1]) + 1} ', otherwise)}"


def _wrong(value: object) -> Iterator[str]:
    if not isinstance(value, dict):
        yield "the policy has to be a mapping with `modes` and `rules`"
        return
    yield from _unknown(value, _KEYS)
    yield from _wrong_modes(value.get("modes", {}))
    rules = value.get("rules", [])
    if not isinstance(rules, list):
        yield "`rules` has to be a list of rules, each with `who` and `may`"
        return
    for number, rule in enumerate(rules, 1):
        yield from (f"rule {number}: {wrong}" for wrong in _wrong_rule(rule))


def _wrong_modes(modes: object) -> Iterator[str]:
    if not isinstance(modes, dict):
        yield f"`modes` has to be a mapping of queues, each with one of: {', '.join(MODES)}"
        return
    for queue, mode in modes.items():
        if mode not in MODES:
            yield f"queue {_quoted(queue)} has a mode that there is not, {_quoted(mode)}; {meant(mode, MODES)}"


def _wrong_rule(rule: object) -> Iterator[str]:
    if not isinstance(rule, dict):
        yield "it has to be a mapping with `who` and `may`"
        return
    yield from _unknown(rule, _RULE)
    if "may" not in rule:
        yield "it grants nothing: name what under `may`, or leave it out"
    yield from _wrong_lists("who", rule.get("who", {}), _WHO, lambda text: True)
    yield from _wrong_lists("may", rule.get("may", {}), _GRANTS, bool)


def _wrong_lists(key: str, value: object, known: tuple[str, ...], fits: Callable[[str], bool]) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"`{key}` has to be a mapping; there are: {', '.join(known)}"
        return
    yield from (f"`{key}`: {wrong}" for wrong in _unknown(value, known))
    for name, globs in value.items():
        if not isinstance(globs, list) or not all(isinstance(glob, str) for glob in globs):
            yield f"`{name}` under `{key}` has to be a list of texts, like {name}: ['{_EXAMPLE}']"
        elif not all(map(fits, globs)):
            yield f"`{name}` under `{key}` has an empty text, which nothing has for its name"


def _unknown(value: dict[object, object], known: tuple[str, ...]) -> Iterator[str]:
    yield from (no_such_key(key, known) for key in value if key not in known)


def _quoted(value: object) -> str:
    return f"'{one_line(str(value), _MOST)}'"


_EXAMPLE: Final = "press_*"
