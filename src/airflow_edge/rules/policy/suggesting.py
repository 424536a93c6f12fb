"""The least policy that what was seen needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from airflow_edge.rules.policy.document import Globs, PolicyDocument, RuleDocument, WhoDocument, literal
from airflow_edge.rules.policy.grants import OF_DAGS, RELATIONS, Grant

NOTED_LENGTH: Final = 250
"""Characters of a name that are noted, about as many as Airflow's own ids have."""
_CUT: Final = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a task of a queue has asked for, some time or other."""

    team_name: str | None
    queue: str
    dag_id: str
    task_id: str
    grant: Grant
    name: str
    """What it was about; the narrowest of `RELATIONS` where one fits."""


def noted_name(name: str) -> str:
    """Give what is noted of a name: text that every database takes, and the beginning only of a very long one."""
    clean = name.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean if len(clean) <= NOTED_LENGTH else clean[: NOTED_LENGTH - 1] + _CUT


def _glob(grant: Grant, name: str) -> str:
    """Give what grants a name that was noted; of one that was cut, whatever begins so."""
    if grant in OF_DAGS and name in RELATIONS:
        return name
    if len(name) == NOTED_LENGTH and name.endswith(_CUT):
        return literal(name.removesuffix(_CUT)) + "*"
    return literal(name)


def suggest(uses: Iterable[Use]) -> PolicyDocument:
    """Give the policy that grants all of this and nothing more; tasks of one Dag that need the same share a rule."""
    needed: defaultdict[tuple[str | None, str, str, str], set[tuple[Grant, str]]] = defaultdict(set)
    # Nothing has an empty name; asked for was one all the same.
    for use in (use for use in uses if use.name):
        needed[use.team_name, use.queue, use.dag_id, use.task_id].add((use.grant, _glob(use.grant, use.name)))
    alike: defaultdict[tuple[str | None, str, str, frozenset[tuple[Grant, str]]], list[str]] = defaultdict(list)
    for (team, queue, dag_id, task_id), grants in needed.items():
        alike[team, queue, dag_id, frozenset(grants)].append(task_id)
    rules = [
        RuleDocument(
            who=WhoDocument(
                teams=(literal(team),) if team is not None else (),
                queues=(literal(queue),),
                dags=(literal(dag_id),),
                tasks=tuple(sorted(map(literal, task_ids))),
            ),
            may=_by_grant(grants),
        )
        for (team, queue, dag_id, grants), task_ids in alike.items()
    ]
    return PolicyDocument(rules=tuple(sorted(rules, key=lambda rule: msgspec.structs.astuple(rule.who))))


def _by_grant(grants: Iterable[tuple[Grant, str]]) -> dict[Grant, Globs]:
    found: defaultdict[Grant, set[str]] = defaultdict(set)
    for grant, name in grants:
        found[grant].add(name)
    return {grant: tuple(sorted(found[grant])) for grant in Grant if grant in found}
