"""Airflow's Execution API, route by route: what a call needs to be granted, and what becomes of one that is repeated
because its answer was lost.

`docs/decisions/0007-calls-that-are-repeated.md` says why a repeated one is taken as it is; a test compares the table
with the routes that each supported Airflow has.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from starlette.routing import compile_path

from airflow_edge.gateway.access.states import deferral
from airflow_edge.rules.policy.grants import Grant, Need


class Repeat(StrEnum):
    """How a repeated call is taken."""

    HARMLESS = "harmless"
    """Airflow does the same once more, and all is as before."""
    SET = "set"
    """The same value is set once more, after the first call has ended: it may be under way still."""
    RECOGNISED = "recognised"
    """Airflow knows the caller again, and gives the same answer."""
    STATE = "state"
    """Never passed on to a newer run of the task; a conflict with what was done before is a success."""
    REMEMBERED = "remembered"
    """Carried out once; the answer comes from memory the second time."""


Values: TypeAlias = Mapping[str, tuple[str, ...]]
"""By name, all values that a request gives: those of its path and of its query."""
Needs: TypeAlias = Callable[[Values], Iterable[Need]]

_RUNS: Final = frozenset({"run_id", "run_ids"})
_TASKS: Final = frozenset({"task_id", "task_ids"})


def own(_: Values) -> Iterable[Need]:
    """Nothing: it is about the task itself."""
    return ()


def filtered(_: Values) -> Iterable[Need]:
    """Nothing: what may not be seen is left out of the answer."""
    return ()


def _named(grant: Grant, *names: str) -> Needs:
    """Give the needs of a call that is about what it names under any of these names."""
    return lambda values: (Need(grant=grant, name=name) for key in names for name in values.get(key, ()))


def _of_dag(grant: Grant, *narrowed_by: str) -> Needs:
    """Give the needs of a call that is about a Dag, a run of it, or a task in that.

    What names several, or asks for those of other runs as well, is about all of them.

    :param narrowed_by: names by which Airflow takes this call to be about one run or one task. Any other it passes
        over, and whoever calls may write it into the query all the same: it makes the call about nothing less.
    """
    runs = [name for name in narrowed_by if name in _RUNS]
    tasks = [name for name in narrowed_by if name in _TASKS]

    def needs(values: Values) -> Iterator[Need]:
        all_runs = _says_yes(values.get("include_prior_dates", ()))
        run_id = None if all_runs else _one(values, runs)
        # It brings the tasks of a group beside those that are named.
        task_id = None if "task_group_id" in values else _one(values, tasks)
        for dag_id in values.get("dag_id", ()):
            yield Need(grant=grant, name=dag_id, run_id=run_id, task_id=task_id)

    return needs


def _one(values: Values, names: Iterable[str]) -> str | None:
    """Give the one value that there is under these names; None if there are several, or none."""
    found = {value for name in names for value in values.get(name, ())}
    return found.pop() if len(found) == 1 else None


def _says_yes(values: Iterable[str]) -> bool:
    return any(value.lower() not in {"false", "f", "no", "n", "off", "0"} for value in values)


CONNECTION: Final = _named(Grant.CONNECTIONS, "connection_id")
VARIABLE: Final = _named(Grant.VARIABLES, "variable_key")
SET_VARIABLE: Final = _named(Grant.SET_VARIABLES, "variable_key")
XCOM: Final = _of_dag(Grant.XCOMS, "run_id", "task_id")
SET_XCOM: Final = _of_dag(Grant.SET_XCOMS, "run_id", "task_id")
TRIGGER: Final = _of_dag(Grant.TRIGGER, "run_id")
CLEAR: Final = _of_dag(Grant.CLEAR, "run_id")
DAG_STATES: Final = _of_dag(Grant.STATES)
RUN_STATES: Final = _of_dag(Grant.STATES, "run_id")
RUNS_STATES: Final = _of_dag(Grant.STATES, "run_ids")
TASK_STATES: Final = _of_dag(Grant.STATES, "task_id")
TASKS_STATES: Final = _of_dag(Grant.STATES, "run_ids", "task_ids")
ASSET: Final = _named(Grant.ASSETS, "name", "uri", "alias_name")
SET_ASSET: Final = _named(Grant.SET_ASSETS, "name", "uri")


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the Execution API; its template is written as Airflow writes it."""

    method: str
    template: str
    repeat: Repeat
    needs: Needs

    def values(self, method: str, path: str) -> Values | None:
        """Give what the path of a request for this route says; None if it is for another."""
        match = _pattern(self.template).match(path) if method == self.method else None
        return None if match is None else _values_of(match)

    def matches(self, method: str, path: str) -> bool:
        """Say whether a request is for this route."""
        return self.values(method, path) is not None


def folder_of(path: str) -> str:
    """Give the first part of a path, which is the same in all that a template matches."""
    return path.split("/", 2)[1] if path.startswith("/") else ""


_READ: Final = Repeat.HARMLESS
_TASK: Final = "/task-instances/{task_instance_id}"
_XCOM: Final = "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}"
_RUN: Final = "/dag-runs/{dag_id}/{run_id}"

ROUTES: Final = (
    Route("PATCH", f"{_TASK}/run", Repeat.RECOGNISED, own),
    Route("PATCH", f"{_TASK}/state", Repeat.STATE, own),
    Route("PATCH", f"{_TASK}/skip-downstream", Repeat.HARMLESS, own),
    Route("PUT", f"{_TASK}/heartbeat", Repeat.HARMLESS, own),
    Route("PUT", f"{_TASK}/rtif", Repeat.SET, own),
    Route("PATCH", f"{_TASK}/rendered-map-index", Repeat.HARMLESS, own),
    # From Airflow 3.4 on.
    Route("PATCH", f"{_TASK}/dag-run-note", Repeat.SET, own),
    Route("GET", f"{_TASK}/previous-successful-dagrun", _READ, own),
    Route("GET", f"{_TASK}/validate-inlets-and-outlets", _READ, own),
    Route("GET", "/task-instances/count", _READ, TASKS_STATES),
    Route("GET", "/task-instances/states", _READ, TASKS_STATES),
    Route("GET", "/task-instances/breadcrumbs", _READ, RUN_STATES),
    Route("GET", "/task-instances/previous/{dag_id}/{task_id}", _READ, TASK_STATES),
    Route("GET", "/task-reschedules/{task_instance_id}/start_date", _READ, own),
    Route("PATCH", "/callbacks/{callback_id}/run", Repeat.REMEMBERED, own),
    Route("GET", "/dags/{dag_id}", _READ, DAG_STATES),
    Route("POST", _RUN, Repeat.REMEMBERED, TRIGGER),
    Route("POST", f"{_RUN}/clear", Repeat.REMEMBERED, CLEAR),
    Route("GET", _RUN, _READ, RUN_STATES),
    Route("GET", f"{_RUN}/state", _READ, RUN_STATES),
    Route("GET", "/dag-runs/count", _READ, RUNS_STATES),
    Route("GET", "/dag-runs/previous", _READ, DAG_STATES),
    Route("GET", "/dag-runs/{dag_id}/previous", _READ, DAG_STATES),
    Route("POST", "/hitlDetails/{task_instance_id}", Repeat.REMEMBERED, own),
    Route("PATCH", "/hitlDetails/{task_instance_id}", Repeat.REMEMBERED, own),
    Route("GET", "/hitlDetails/{task_instance_id}", _READ, own),
    Route("GET", _XCOM, _READ, XCOM),
    Route("HEAD", _XCOM, _READ, XCOM),
    Route("GET", f"{_XCOM}/item/{{offset}}", _READ, XCOM),
    Route("GET", f"{_XCOM}/slice", _READ, XCOM),
    Route("POST", _XCOM, Repeat.SET, SET_XCOM),
    Route("DELETE", _XCOM, Repeat.HARMLESS, SET_XCOM),
    Route("GET", "/connections/{connection_id}", _READ, CONNECTION),
    # From Airflow 3.4 on.
    Route("GET", "/connections/{connection_id:path}", _READ, CONNECTION),
    Route("GET", "/variables/keys", _READ, filtered),
    Route("GET", "/variables/{variable_key:path}", _READ, VARIABLE),
    Route("PUT", "/variables/{variable_key:path}", Repeat.SET, SET_VARIABLE),
    Route("DELETE", "/variables/{variable_key:path}", Repeat.HARMLESS, SET_VARIABLE),
    Route("GET", "/store/ti/{task_instance_id}/{key:path}", _READ, own),
    Route("PUT", "/store/ti/{task_instance_id}/{key:path}", Repeat.SET, own),
    Route("DELETE", "/store/ti/{task_instance_id}/{key:path}", Repeat.HARMLESS, own),
    Route("DELETE", "/store/ti/{task_instance_id}", Repeat.HARMLESS, own),
    Route("GET", "/assets/by-name", _READ, ASSET),
    Route("GET", "/assets/by-uri", _READ, ASSET),
    Route("GET", "/assets/by-alias", _READ, ASSET),
    Route("GET", "/asset-events/by-asset", _READ, ASSET),
    Route("GET", "/asset-events/by-asset-alias", _READ, ASSET),
    Route("GET", "/store/asset/by-name/value", _READ, ASSET),
    Route("PUT", "/store/asset/by-name/value", Repeat.SET, SET_ASSET),
    Route("DELETE", "/store/asset/by-name/value", Repeat.HARMLESS, SET_ASSET),
    Route("DELETE", "/store/asset/by-name/clear", Repeat.HARMLESS, SET_ASSET),
    Route("GET", "/store/asset/by-uri/value", _READ, ASSET),
    Route("PUT", "/store/asset/by-uri/value", Repeat.SET, SET_ASSET),
    Route("DELETE", "/store/asset/by-uri/value", Repeat.HARMLESS, SET_ASSET),
    Route("DELETE", "/store/asset/by-uri/clear", Repeat.HARMLESS, SET_ASSET),
    # No executor of ours tests connections; the gateway refuses it.
    Route("PATCH", "/connection-tests/{connection_test_id}", Repeat.REMEMBERED, own),
    Route("GET", "/connection-tests/{connection_test_id}/connection", _READ, own),
    # For who runs Airflow; the gateway refuses them.
    Route("GET", "/health", _READ, own),
    Route("GET", "/health/ping", _READ, own),
)

_BY_FOLDER: Final[defaultdict[tuple[str, str], list[Route]]] = defaultdict(list)
for _route in ROUTES:
    _BY_FOLDER[_route.method, folder_of(_route.template)].append(_route)


NOT_FOR_TASKS: Final = frozenset({"docs", "redoc", "openapi.json", "changelog", "health"})
"""First parts of paths below which is nothing that a task needs: what the API says of itself, to anybody."""


def begins(method: str, path: str) -> bool:
    """Say whether a call tells Airflow that a task begins."""
    return repeat_of(method, path) is Repeat.RECOGNISED


def repeat_of(method: str, path: str) -> Repeat:
    """Say how a repeated call is taken; a route that nobody knows is left to Airflow."""
    return next((route.repeat for route in _routes_near(method, path) if route.matches(method, path)), Repeat.HARMLESS)


def needs_of(method: str, path: str, query: str, body: bytes = b"{}") -> list[Need] | None:
    """Give all that a call needs to be granted; None if it is for a route that nobody knows.

    Which route it is for depends on the version of the API that it names: it needs what any of them needs.

    :param path: below the API, decoded
    :param query: as it came
    :param body: looked at only where it says what a call is about
    """
    near = _routes_near(method, path)
    found = [
        (route.needs, _values_of(match))
        for route in near
        if (match := _pattern(route.template).match(path)) is not None
    ]
    if not found:
        return None
    if any(needs is filtered for needs, _ in found):
        return []
    asked: dict[str, tuple[str, ...]] = {}
    if query:
        for name, value in parse_qsl(query, keep_blank_values=True, errors="surrogateescape"):
            asked[name] = (*asked.get(name, ()), value)
    needed = [need for needs, said in found for need in needs({**asked, **said})]
    if repeat_of(method, path) is Repeat.STATE:
        needed += deferral(body)
    return list(dict.fromkeys(needed))


def is_variables_listing(method: str, path: str) -> bool:
    """Say whether what is answered names variables, of which some are not for everybody to see."""
    return any(route.needs is filtered and route.matches(method, path) for route in _routes_near(method, path))


def _routes_near(method: str, path: str) -> Sequence[Route]:
    return _BY_FOLDER.get((method, folder_of(path)), ())


def _values_of(match: re.Match[str]) -> Values:
    return {name: (value,) for name, value in match.groupdict().items()}


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Give what Airflow itself, with FastAPI, takes a template for."""
    return compile_path(template)[0]
