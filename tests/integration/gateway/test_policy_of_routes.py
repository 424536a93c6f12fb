"""Every route that this Airflow's Execution API has, in any version of it, under every mode of the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from airflow_edge.gateway.access.routes import ROUTES
from airflow_edge.gateway.task_api import ask, request_scope
from airflow_edge.rules.policy.grants import Grant
from tests.integration.gateway.test_execution import held_job
from tests.integration.gateway.test_policy import first_denied

pytestmark = pytest.mark.one_database

MODES: Final = ("off", "report", "enforce", "granted")
"""The last one is enforced, too, and all is granted; the one before grants other names."""
OWN: Final = re.compile(r"\{(task_instance_id|callback_id|connection_test_id)\}|^/health")
"""What is about the very task: heartbeats, states, what it keeps."""
LISTING: Final = ("GET", "/variables/keys")
"""Its answer is without what may not be seen."""
ABOUT: Final = {"dag_id": "other", "name": "other", "uri": "s3://other", "alias_name": "other", "key": "other"}


def routes_of(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    """Give version, method and path of each route, the newest version of each first."""
    routers = app.router.versioned_routers  # type: ignore[attr-defined]
    found: dict[tuple[str, str], str] = {}
    for version, router in sorted(routers.items(), reverse=True):
        for route in router.routes:
            if isinstance(route, APIRoute):
                for method in route.methods:
                    found.setdefault((method, route.path), str(version))
    for (method, path), version in sorted(found.items()):
        yield version, method, path


def must_be_granted(method: str, path: str) -> bool:
    return OWN.search(path) is None and (method, path) != LISTING


def policy(queues: dict[str, str]) -> str:
    modes = [f"'{queue}': {mode.replace('granted', 'enforce')}" for mode, queue in queues.items()]
    rules = [
        f"- {{who: {{queues: ['{queues[mode]}']}}, may: {{{', '.join(f'{grant}: [{glob}]' for grant in Grant)}}}}}"
        for mode, glob in (("enforce", "somebody"), ("granted", "'*'"))
    ]
    return "\n".join([f"modes: {{{', '.join(modes)}}}", "rules:", *rules])


def is_denied(answer: httpx.Response) -> bool:
    if answer.status_code != 403 or not answer.content:
        return False
    detail = answer.json().get("detail")
    return isinstance(detail, dict) and detail.get("reason") == "edge_policy"


async def test_each_route_meets_the_policy_where_it_must_and_nowhere_else(centre):
    from airflow.api_fastapi.execution_api.app import create_task_execution_api_app

    app = create_task_execution_api_app()
    # The routes of each version are made with the first call.
    await ask(app, request_scope("GET", "/nothing", b"", []))
    routes = [*routes_of(app)]
    assert len(routes) > 30
    assert {(method, path) for _, method, path in routes} <= {(route.method, route.template) for route in ROUTES}
    async with AsyncExitStack() as stack:
        jobs = {mode: await stack.enter_async_context(held_job(centre)) for mode in MODES}
        queues = {mode: centre.job(job.partition(":")[0]).queue for mode, (_, _, _, job) in jobs.items()}
        centre.store.policies.add(policy(queues), "", by="ann", now=datetime.now(UTC))

        async def call(mode: str, version: str, method: str, path: str) -> httpx.Response:
            site, _, task_id, job = jobs[mode]
            target = re.sub(r"\{(\w+)(:path)?\}", lambda name: _value(name[1], str(task_id)), path)
            options = {"headers": {"Airflow-API-Version": version}, "params": ABOUT}
            body: dict[str, Any] = {"json": {}} if method in {"POST", "PUT", "PATCH"} else {}
            return await site.call(centre.gateway, method, target, job, **options, **body)

        site, _, _, job = jobs["enforce"]
        await first_denied(lambda method, path: site.call(centre.gateway, method, path, job))
        for version, method, path in routes:
            answers = {mode: await call(mode, version, method, path) for mode in MODES}
            what = f"{method} {path} ({version}): { ({mode: one.status_code for mode, one in answers.items()}) }"
            # A HEAD has no body to say why.
            denied = {mode for mode, one in answers.items() if is_denied(one)}
            if method == "HEAD":
                denied = {mode for mode, one in answers.items() if one.status_code == 403}
            assert denied == ({"enforce"} if must_be_granted(method, path) else set()), what
            passed = {one.status_code for mode, one in answers.items() if mode not in denied}
            assert len(passed) == 1, what
            # 500 is Airflow's own answer, too: its tables know nothing of this task's Dag.
            assert not passed & {502, 503}, what


def _value(name: str, task_id: str) -> str:
    return {"task_instance_id": task_id, "offset": "0"}.get(name, "other")
