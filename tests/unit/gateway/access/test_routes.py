from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlencode

import pytest
from airflow.api_fastapi.execution_api.routes import execution_api_router
from fastapi import APIRouter
from fastapi.dependencies.utils import get_flat_dependant
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.gateway.access.routes import ROUTES, Repeat, is_variables_listing, needs_of, repeat_of
from airflow_edge.rules.policy.grants import Grant, Need


def api_routes(router: APIRouter) -> Iterator[APIRoute]:
    """The routes; a newer FastAPI keeps included routers as they are."""
    routes: Iterable[object] = router.routes
    return (route for route in routes if isinstance(route, APIRoute))


def airflows(router: APIRouter) -> Iterator[tuple[str, str]]:
    for route in api_routes(router):
        yield from ((method, route.path) for method in route.methods or set())


def test_every_route_of_airflow_is_in_the_table() -> None:
    theirs = set(airflows(execution_api_router))
    ours = {(route.method, route.template) for route in ROUTES}
    assert ("PATCH", "/task-instances/{task_instance_id}/state") in theirs
    assert theirs - ours == set()
    assert len(ours) == len(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "repeat"),
    [
        ("PATCH", "/task-instances/1/state", Repeat.STATE),
        ("GET", "/task-instances/1/state", Repeat.HARMLESS),
        ("POST", "/dag-runs/dag/run", Repeat.REMEMBERED),
        ("POST", "/dag-runs/dag/run/clear", Repeat.REMEMBERED),
        ("POST", "/dag-runs/dag/run/clear/x", Repeat.HARMLESS),
        ("POST", "/hitlDetails/1", Repeat.REMEMBERED),
        ("POST", "/xcoms/dag/run/task/dag-runs/a/b", Repeat.SET),
        ("POST", "/nothing/known", Repeat.HARMLESS),
    ],
)
def test_a_request_finds_its_route(method: str, path: str, repeat: Repeat) -> None:
    assert repeat_of(method, path) is repeat


def need(grant: Grant, name: str, run_id: str | None = None, task_id: str | None = None) -> Need:
    return Need(grant=grant, name=name, run_id=run_id, task_id=task_id)


@pytest.mark.parametrize(
    ("call", "needs"),
    [
        ("GET /connections/db", [need(Grant.CONNECTIONS, "db")]),
        ("GET /connections/a/b", [need(Grant.CONNECTIONS, "a/b")]),
        ("GET /variables/a/b", [need(Grant.VARIABLES, "a/b")]),
        ("PUT /variables/a", [need(Grant.SET_VARIABLES, "a")]),
        ("DELETE /variables/a", [need(Grant.SET_VARIABLES, "a")]),
        ("GET /variables/keys?prefix=a", []),
        ("GET /xcoms/d/r/t/k", [need(Grant.XCOMS, "d", "r", "t")]),
        ("GET /xcoms/d/r/t/k/slice?start=1", [need(Grant.XCOMS, "d", "r", "t")]),
        ("GET /xcoms/d/r/t/k?include_prior_dates=true", [need(Grant.XCOMS, "d", None, "t")]),
        ("GET /xcoms/d/r/t/k?include_prior_dates=false", [need(Grant.XCOMS, "d", "r", "t")]),
        ("GET /xcoms/d/r/t/k?include_prior_dates=false&include_prior_dates=1", [need(Grant.XCOMS, "d", None, "t")]),
        ("GET /xcoms/d/r/t/k?dag_id=other", [need(Grant.XCOMS, "d", "r", "t")]),
        ("POST /xcoms/d/r/t/k", [need(Grant.SET_XCOMS, "d", "r", "t")]),
        ("POST /dag-runs/d/r", [need(Grant.TRIGGER, "d", "r")]),
        ("POST /dag-runs/d/r/clear", [need(Grant.CLEAR, "d", "r")]),
        ("GET /dag-runs/d/r/state", [need(Grant.STATES, "d", "r")]),
        ("GET /dag-runs/count?dag_id=d&run_ids=r", [need(Grant.STATES, "d", "r")]),
        ("GET /dag-runs/count?dag_id=d&run_ids=r&run_ids=s", [need(Grant.STATES, "d")]),
        ("GET /dag-runs/count?dag_id=d&dag_id=e", [need(Grant.STATES, "d"), need(Grant.STATES, "e")]),
        ("GET /dags/d", [need(Grant.STATES, "d")]),
        ("GET /task-instances/states?dag_id=d&run_ids=r&task_ids=t", [need(Grant.STATES, "d", "r", "t")]),
        ("GET /task-instances/states?dag_id=d&run_ids=r&task_ids=t&task_group_id=g", [need(Grant.STATES, "d", "r")]),
        ("GET /task-instances/breadcrumbs?dag_id=d&run_id=r", [need(Grant.STATES, "d", "r")]),
        ("GET /task-instances/previous/d/t", [need(Grant.STATES, "d", None, "t")]),
        ("GET /assets/by-uri?uri=s3%3A%2F%2Fa", [need(Grant.ASSETS, "s3://a")]),
        ("GET /asset-events/by-asset?name=a&uri=u", [need(Grant.ASSETS, "a"), need(Grant.ASSETS, "u")]),
        ("PUT /store/asset/by-name/value?name=a&key=k", [need(Grant.SET_ASSETS, "a")]),
        ("PATCH /task-instances/1/run", []),
        ("GET /docs", None),
        ("GET /openapi.json", None),
        ("DELETE /connections/db", None),
        ("GET /xcoms/d/r/t", None),
    ],
)
def test_what_a_call_needs(call: str, needs: list[Need] | None) -> None:
    method, _, target = call.partition(" ")
    path, _, query = target.partition("?")
    found = needs_of(method, path, query)
    assert (None if found is None else sorted(found, key=repr)) == (None if needs is None else sorted(needs, key=repr))


@pytest.mark.attack(26)
def test_a_states_trigger_needs_to_be_granted_and_its_assets_are_nothing_that_keeps_it_from_being_told() -> None:
    state, body = "/task-instances/1/state", b'{"state": "deferred", "classpath": "os.system"}'
    assert needs_of("PATCH", state, "", body) == [need(Grant.DEFER, "os.system")]
    assert needs_of("PUT", "/task-instances/1/rtif", "", body) == []
    outlet = {"name": "a", "uri": "s3://a", "type": "Asset"}
    assert needs_of("PATCH", state, "", json.dumps({"state": "success", "task_outlets": [outlet]}).encode()) == []


def parameters(route: APIRoute) -> set[str]:
    """All that a route takes from path and query."""
    flat = get_flat_dependant(route.dependant)
    return {parameter.alias for parameter in (*flat.path_params, *flat.query_params)}


ABOUT = {"dag_id": "d", "name": "a", "uri": "u", "alias_name": "a"}
NARROWING = ("run_id", "run_ids", "task_id", "task_ids")


@pytest.mark.attack(24)
@pytest.mark.parametrize("name", NARROWING)
def test_what_airflow_passes_over_makes_a_call_need_nothing_less(name: str) -> None:
    """A task that says of a call about a whole run that it is about itself needs the grant all the same."""
    looked_at = 0
    for route in api_routes(execution_api_router):
        known = parameters(route)
        if name in known:
            continue
        path = re.sub(r"\{(\w+)(:path)?\}", r"\1", route.path)
        query = urlencode({key: value for key, value in ABOUT.items() if key in known})
        for method in route.methods or set():
            looked_at += 1
            assert needs_of(method, path, f"{query}&{name}=mine") == needs_of(method, path, query), (method, path)
    assert looked_at > 20


def test_the_listing_whose_answer_is_looked_through_is_known() -> None:
    assert is_variables_listing("GET", "/variables/keys")
    assert not is_variables_listing("GET", "/variables/keys/x")
    assert not is_variables_listing("PUT", "/variables/keys")


METHODS = sorted({route.method for route in ROUTES})
THEIRS = {
    method: [
        route
        for route in execution_api_router.routes
        if isinstance(route, APIRoute) and method in (route.methods or set())
    ]
    for method in METHODS
}
PARTS = st.sampled_from(
    ["a", "", "keys", "count", "previous", "states", "state", "clear", "slice", "item", "value", "\n", "%2F"]
)
FOLDERS = sorted({route.template.split("/")[1] for route in ROUTES})
PATHS = st.builds(
    lambda first, parts: "/".join(["", first, *parts]), st.sampled_from(FOLDERS), st.lists(PARTS, max_size=7)
)


@given(st.sampled_from(METHODS), PATHS)
def test_where_airflow_has_a_route_a_call_is_taken_for_it_too(method: str, path: str) -> None:
    theirs = {route.path for route in THEIRS[method] if route.path_regex.match(path)}
    assert theirs <= {route.template for route in ROUTES if route.matches(method, path)}
    assert (needs_of(method, path, "") is not None) >= bool(theirs)
