from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from airflow.api_fastapi.execution_api.routes import execution_api_router
from fastapi import APIRouter
from fastapi.routing import APIRoute

from airflow_edge.gateway.endpoints.routes import ROUTES, Repeat, repeat_of

READING = {"GET", "HEAD"}


def airflows(router: APIRouter) -> Iterator[tuple[str, str]]:
    """The routes that change something; a newer FastAPI keeps included routers as they are."""
    routes: Iterable[object] = router.routes
    for route in routes:
        if isinstance(route, APIRoute):
            yield from ((method, route.path) for method in (route.methods or set()) - READING)


def test_every_route_of_airflow_that_changes_something_is_in_the_table() -> None:
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


def test_each_template_matches_what_it_describes() -> None:
    for route in ROUTES:
        path = route.template.replace(":path}", "}/with/more")
        for name in (
            "dag_id",
            "run_id",
            "task_id",
            "key",
            "variable_key",
            "task_instance_id",
            "connection_test_id",
            "callback_id",
        ):
            path = path.replace(f"{{{name}}}", "a.b+c")
        assert "{" not in path
        assert [one for one in ROUTES if one.matches(route.method, path)] == [route]
