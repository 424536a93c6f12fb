"""What becomes of a call of Airflow's Execution API that is repeated because its answer was lost: route by route.

Reading is always harmless. `docs/decisions/0007-calls-that-are-repeated.md` says why each route is as it is; a test
compares the table with the routes that Airflow has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from starlette.routing import compile_path


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


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the Execution API; its template is written as Airflow writes it."""

    method: str
    template: str
    repeat: Repeat

    def matches(self, method: str, path: str) -> bool:
        """Say whether a request is for this route."""
        return method == self.method and _pattern(self.template).match(path) is not None


ROUTES: Final = (
    Route("PATCH", "/task-instances/{task_instance_id}/run", Repeat.RECOGNISED),
    Route("PATCH", "/task-instances/{task_instance_id}/state", Repeat.STATE),
    Route("PATCH", "/task-instances/{task_instance_id}/skip-downstream", Repeat.HARMLESS),
    Route("PUT", "/task-instances/{task_instance_id}/heartbeat", Repeat.HARMLESS),
    Route("PUT", "/task-instances/{task_instance_id}/rtif", Repeat.SET),
    Route("PATCH", "/task-instances/{task_instance_id}/rendered-map-index", Repeat.HARMLESS),
    # From Airflow 3.4 on.
    Route("PATCH", "/task-instances/{task_instance_id}/dag-run-note", Repeat.SET),
    Route("PATCH", "/callbacks/{callback_id}/run", Repeat.REMEMBERED),
    Route("POST", "/dag-runs/{dag_id}/{run_id}", Repeat.REMEMBERED),
    Route("POST", "/dag-runs/{dag_id}/{run_id}/clear", Repeat.REMEMBERED),
    Route("POST", "/hitlDetails/{task_instance_id}", Repeat.REMEMBERED),
    Route("PATCH", "/hitlDetails/{task_instance_id}", Repeat.REMEMBERED),
    Route("POST", "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Repeat.SET),
    Route("DELETE", "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Repeat.HARMLESS),
    Route("PUT", "/variables/{variable_key:path}", Repeat.SET),
    Route("DELETE", "/variables/{variable_key:path}", Repeat.HARMLESS),
    Route("PUT", "/store/ti/{task_instance_id}/{key:path}", Repeat.SET),
    Route("DELETE", "/store/ti/{task_instance_id}/{key:path}", Repeat.HARMLESS),
    Route("DELETE", "/store/ti/{task_instance_id}", Repeat.HARMLESS),
    Route("PUT", "/store/asset/by-name/value", Repeat.SET),
    Route("DELETE", "/store/asset/by-name/value", Repeat.HARMLESS),
    Route("DELETE", "/store/asset/by-name/clear", Repeat.HARMLESS),
    Route("PUT", "/store/asset/by-uri/value", Repeat.SET),
    Route("DELETE", "/store/asset/by-uri/value", Repeat.HARMLESS),
    Route("DELETE", "/store/asset/by-uri/clear", Repeat.HARMLESS),
    # No executor of ours tests connections; the gateway refuses it.
    Route("PATCH", "/connection-tests/{connection_test_id}", Repeat.REMEMBERED),
)


def repeat_of(method: str, path: str) -> Repeat:
    """Say how a repeated call is taken; a route that nobody knows is left to Airflow."""
    return next((route.repeat for route in ROUTES if route.matches(method, path)), Repeat.HARMLESS)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Give what Airflow itself, with FastAPI, takes a template for."""
    return compile_path(template)[0]
