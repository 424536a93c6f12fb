from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from airflow_edge.page.app import create_app
from airflow_edge.page.bundle import Bundle

ENTRY = "edge-Ab3_-9xY.js"


@pytest.fixture
def client():
    return TestClient(create_app(Bundle(ENTRY, {ENTRY: b"import 1", "icon.svg": b"<svg/>"})))


def test_a_module_is_given_as_one_for_good(client):
    answer = client.get(f"/{ENTRY}")
    assert answer.content == b"import 1"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_may_change_is_not_kept_for_long(client):
    answer = client.get("/icon.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "immutable" not in answer.headers["cache-control"]


@pytest.mark.parametrize("path", ["/", "/edge-00000000.js", "/..%2Fbundle.py", "/built.json"])
def test_anything_else_is_a_problem_that_says_what_to_do(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert ENTRY in answer.json()["detail"]


def test_a_browser_may_ask_for_the_head_alone(client):
    answer = client.head(f"/{ENTRY}")
    assert (answer.status_code, answer.content) == (200, b"")
