"""Whether a call is granted: any rule grants it; what none grants is denied where the policy is enforced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from airflow_edge.rules.policy.document import Globs, Matcher, Mode, PolicyDocument, RuleDocument, literal
from airflow_edge.rules.policy.grants import OF_DAGS, RELATIONS, UPSTREAM, Grant, Need, Who

MOST_KNOWN: Final = 10_000
"""Tasks of which it is remembered what they are granted."""

Group = tuple[str | None, str, str, str, str]
"""What rules tell tasks apart by: team, queue, worker, Dag, task."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What all rules for a task grant together, of one kind."""

    names: Matcher
    relations: frozenset[str]

    def covers(self, need: Need, relations: Collection[str]) -> bool:
        """Say whether it is enough for what is so related to the task that needs it."""
        return not self.relations.isdisjoint(relations) or self.names.matches(need.name)


class Policy:
    """A policy that is asked; it never changes."""

    def __init__(self, document: PolicyDocument, label: str) -> None:
        """:param label: what it is known by, which every denial names: `version 3`"""
        self.label = label
        self._modes = [(Matcher((glob,)), mode) for glob, mode in document.modes.items()]
        self._rules = [_Rule(rule) for rule in document.rules]
        self._granted = lru_cache(MOST_KNOWN)(self._find)
        self.mode = lru_cache(MOST_KNOWN)(self._find_mode)

    def grants(self, who: Who, need: Need, upstream: Callable[[], Collection[str]]) -> bool:
        """Say whether a task may have what it needs.

        :param upstream: gives the tasks before it, in its Dag; asked only where it matters
        """
        if need.is_own(who):
            return True
        granted = self.granted(who).get(need.grant)
        if granted is None:
            return False
        return granted.covers(need, need.relations(who, upstream) if granted.relations else ())

    def grants_related(self, who: Who, need: Need, relations: Collection[str]) -> bool:
        """Say the same of what is not about the very task, and of which it is known how it is related to that."""
        granted = self.granted(who).get(need.grant)
        return granted is not None and granted.covers(need, relations)

    def granted(self, who: Who) -> Mapping[Grant, Granted]:
        """Give all that a task is granted."""
        return self._granted((who.team_name, who.queue, who.worker, who.dag_id, who.task_id))

    def _find(self, group: Group) -> Mapping[Grant, Granted]:
        names: defaultdict[Grant, list[str]] = defaultdict(list)
        for rule in self._rules:
            if rule.is_about(group):
                for grant, globs in rule.may.items():
                    names[grant] += globs
        return {grant: _together(grant, tuple(dict.fromkeys(globs))) for grant, globs in names.items()}

    def _find_mode(self, queue: str) -> Mode:
        return next((mode for glob, mode in self._modes if glob.matches(queue)), "off")


class _Rule:
    def __init__(self, document: RuleDocument) -> None:
        who = document.who
        globs = (who.teams, who.queues, who.workers, who.dags, who.tasks)
        self._matches = [(place, Matcher(some).matches) for place, some in enumerate(globs) if some]
        self.may = document.may

    def is_about(self, group: Group) -> bool:
        # All rules are asked about each task once: a generator for each would take as long again.
        for place, matches in self._matches:  # noqa: SIM110
            if not matches(group[place] or ""):
                return False
        return True


def _together(grant: Grant, globs: Globs) -> Granted:
    relations = frozenset(globs) & frozenset(RELATIONS) if grant in OF_DAGS else frozenset[str]()
    return Granted(Matcher(tuple(glob for glob in globs if glob not in relations)), relations)


_DOING: Final = {
    Grant.CONNECTIONS: "read connection {}",
    Grant.VARIABLES: "read variable {}",
    Grant.SET_VARIABLES: "set variable {}",
    Grant.XCOMS: "read XComs of Dag {}",
    Grant.SET_XCOMS: "write XComs of Dag {}",
    Grant.TRIGGER: "start Dag {}",
    Grant.CLEAR: "clear runs of Dag {}",
    Grant.STATES: "read the states of Dag {}",
    Grant.ASSETS: "read asset {}",
    Grant.SET_ASSETS: "change asset {}",
    Grant.DEFER: "be deferred to trigger {}",
}


def denial(who: Who, need: Need, label: str, *, upstream_known: bool = True) -> str:
    """Say in a line what is denied to whom, and what would grant it.

    :param label: what the policy is known by
    :param upstream_known: whether it is known which tasks are before the one that calls
    """
    unknown = "" if upstream_known else f"; which tasks are upstream of it is not known, so {UPSTREAM} grants nothing"
    return (
        f"{_task(who)} may not {_DOING[need.grant].format(repr(need.name))}: no rule of the centre's policy ({label}) "
        f"grants it{unknown}. It would take `{need.grant}: [{literal(need.name)!r}]`"
    )


def denial_of_unknown(who: Who, method: str, path: str, label: str) -> str:
    """Say in a line that a call is denied because nobody knows what it would take to be granted."""
    return (
        f"{_task(who)} may not call {method} {path!r}: this version of airflow-edge does not know it, so no rule of "
        f"the centre's policy ({label}) can grant it"
    )


def _task(who: Who) -> str:
    name = f"{who.dag_id}.{who.task_id}" if who.task_id else f"{who.dag_id} (a callback)"
    return f"Task {_quoted(name)} on queue {_quoted(who.queue)}"


def _quoted(text: str) -> str:
    """Give a text that keeps to its line and does nothing to a terminal, bare where it is as harmless as most names."""
    return text if text.isprintable() and text.isascii() else repr(text)
