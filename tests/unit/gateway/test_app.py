from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from airflow_edge.gateway.app import app_of
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.refusals import Refusals


@pytest.mark.parametrize("base_url", ["", "https://centre.example.org/airflow"])
async def test_what_is_at_no_address_is_told_where_airflow_is(base_url):
    """As of a URL without the path that Airflow's base URL has: enrolling said only that there was nothing."""
    app = app_of(cast("Gateway", SimpleNamespace(config=SimpleNamespace(base_url=base_url), refusals=Refusals())))
    sent: list[Any] = []

    async def receive():
        raise AssertionError

    async def send(message):
        sent.append(message)

    await app({"type": "http", "method": "POST", "path": "/edge_worker/v1/enroll", "headers": []}, receive, send)
    problem = json.loads(sent[1]["body"])
    assert (problem["status"], problem["code"]) == (404, "unknown_address")
    assert base_url in problem["detail"]
    assert ("[api] base_url" in problem["detail"]) is bool(base_url)
