"""Which versions a worker may have, and what is said of one that differs from the centre's."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from packaging.version import Version

MINIMUM_WORKER: Final = "minimum_worker_version"
MINIMUM_AIRFLOW: Final = "minimum_airflow_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The centre's own versions, and the lowest that a worker may have; None where any may."""

    worker: str
    airflow: str
    minimum_worker: str | None = None
    minimum_airflow: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionVerdict:
    """What the centre thinks of a worker's versions: why it gets no jobs, or what is odd about it; empty for nothing.

    A worker that is refused is not warned of besides.
    """

    refused: str = ""
    warning: str = ""


class _Part(NamedTuple):
    """One of the two packages that a worker consists of, and what to install of it, from a version on."""

    title: str
    setting: str
    requirement: str


_SITE: Final = "at the site, pip install --upgrade "
_THEN: Final = ", then restart the worker"
_WORKER: Final = _Part("airflow-edge", MINIMUM_WORKER, "'airflow-edge[worker]>={}'")
_AIRFLOW: Final = _Part("Airflow", MINIMUM_AIRFLOW, "'apache-airflow-core>={}' apache-airflow-task-sdk")
_REQUIREMENTS: Final = "|".join(
    re.escape(part.requirement.format("@")).replace("@", "[0-9A-Za-z.!+_-]+") for part in (_WORKER, _AIRFLOW)
)
_MENDED: Final = re.compile(f": {_SITE}({_REQUIREMENTS}){_THEN}")


def read_rules(setting: Callable[[str], str | None], *, worker: str, airflow: str) -> Rules:
    """Read the rules from settings.

    :param setting: gives a setting's text; None or empty if it is not set
    :param worker: the centre's own version of airflow-edge
    :param airflow: its version of Airflow
    :raises ValueError: one of them is no version; the message names it.
    """
    return Rules(
        worker=worker,
        airflow=airflow,
        minimum_worker=_minimum(setting, MINIMUM_WORKER),
        minimum_airflow=_minimum(setting, MINIMUM_AIRFLOW),
    )


def judge(worker: str, airflow: str, rules: Rules) -> VersionVerdict:
    """Say what to think of a worker with these versions of airflow-edge and Airflow, as it gave them.

    Versions are compared as PEP 440 has it: a release candidate is older than its release. What the worker says may be
    anything; a version that nobody can read is older than any minimum.
    """
    compared = (
        (_WORKER, worker, rules.worker, rules.minimum_worker),
        (_AIRFLOW, airflow, rules.airflow, rules.minimum_airflow),
    )
    refused = [_refusal(part, has, minimum) for part, has, _, minimum in compared if _is_below(has, minimum)]
    if refused:
        return VersionVerdict(refused="; ".join(refused))
    return VersionVerdict(
        warning="; ".join(
            f"it has {part.title} {has or 'of a version that it does not say'}, the centre {own}"
            for part, has, own, _ in compared
            if not _is_same(has, own)
        )
    )


def why_and_command(refused: str) -> tuple[str, str | None]:
    """Part what `judge` said of a worker that is refused: why, and the command at its site that mends it.

    A worker's version may be any text: nothing but what is ours is taken for a command. None where there is none.
    """
    found = _MENDED.findall(refused)
    return _MENDED.sub("", refused), f"pip install --upgrade {' '.join(found)}" if found else None


def is_newer(has: str, own: str) -> bool:
    """Say whether a worker's Airflow is a later minor version than the centre's, which may lack what it asks for."""
    ours, theirs = _read(own), _read(has)
    return ours is not None and theirs is not None and theirs.release[:2] > ours.release[:2]


def _minimum(setting: Callable[[str], str | None], name: str) -> str | None:
    text = (setting(name) or "").strip()
    if text and _read(text) is None:
        raise ValueError(f"[edge] {name} = {text} is not a version such as 3.3.0")
    return text or None


def _is_below(has: str, minimum: str | None) -> bool:
    if minimum is None:
        return False
    version = _read(has)
    return version is None or version < Version(minimum)


def _is_same(has: str, own: str) -> bool:
    ours, theirs = _read(own), _read(has)
    return has == own if ours is None or theirs is None else ours.public == theirs.public


def _refusal(part: _Part, has: str, minimum: str | None) -> str:
    return (
        f"{part.title} {has or 'of a version that it does not say'} is older than {minimum} ([edge] {part.setting}): "
        f"{_SITE}{part.requirement.format(minimum)}{_THEN}"
    )


def _read(text: str) -> Version | None:
    try:
        return Version(text)
    # Besides what is no version: numbers that are too long for one.
    except ValueError:
        return None
