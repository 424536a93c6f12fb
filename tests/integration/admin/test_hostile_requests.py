"""What somebody sends who may not, or who wants to harm: a task, another site's page, one who is signed in."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from tests.integration.admin.test_api import CHANGES, endpoints

pytestmark = pytest.mark.one_database


@pytest.mark.held("order_by, NUL, surrogates, huge numbers, unknown fields")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/workers/maintenance", b'{"workers": ["w"], "comment": "x", "more": 1}'),
        ("/workers/maintenance", b'{"workers": ["w"], "comment": "x", "by": "somebody else"}'),
        ("/workers/concurrency", b'{"workers": ["w"], "concurrency": 1' + b"0" * 400 + b"}"),
        ("/workers/concurrency", b'{"workers": ["w"], "concurrency": 1e999}'),
        ("/workers/disconnect-grace", b'{"workers": ["w"], "seconds": NaN}'),
    ],
    ids=["more", "by", "huge", "infinite", "no number"],
)
def test_what_a_body_may_not_say_is_a_problem_and_changes_nothing(api, path, body):
    worker = api.worker("w")
    before = api.store.workers.get(worker.id)
    answer = api.call("POST", path, content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed"), answer.text
    assert (api.store.workers.get(worker.id), api.store.orders.newest(worker.id, limit=1)) == (before, [])


@pytest.mark.held("order_by, NUL, surrogates, huge numbers, unknown fields")
def test_what_is_no_text_names_no_worker(api):
    for name in (r"\ud800", r"\u0000"):
        answer = api.call("POST", "/workers/shutdown", content=f'{{"workers": ["{name}"]}}'.encode())
        assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.held("a task's token at the REST API")
def test_a_tasks_token_opens_nothing(api):
    from airflow.api_fastapi.auth.tokens import JWTGenerator, get_signing_args

    generator = JWTGenerator(
        valid_for=60, audience="urn:airflow.apache.org:task", **get_signing_args(make_secret_key_if_needed=False)
    )
    for scope, called in (("execution", endpoints(api)), ("workload", [("GET", "/workers")])):
        token = generator.generate(extras={"sub": str(uuid4()), "scope": scope})
        for method, path in called:
            filled = path.format(name="w", order_id=uuid4(), token_id=uuid4(), queue="q", job_id=uuid4(), version=1)
            headers = {"Authorization": f"Bearer {token}"}
            answer = api.client.request(method, f"/edge_worker/api{filled}", headers=headers, json=CHANGES.get(path))
            assert answer.status_code in {401, 403}, path


@pytest.mark.held("a change sent with a browser's cookie by another site")
def test_another_sites_page_changes_nothing_with_a_browsers_cookie(api):
    """What a browser sends elsewhere without asking first is no JSON; and it is not told that it may."""
    api.worker("w")
    cookie = api.headers("admin")["Authorization"].removeprefix("Bearer ")
    url, body = "/edge_worker/api/workers/shutdown", b'{"workers": ["w"]}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None):
        headers = {"Cookie": f"_token={cookie}", "Origin": "https://evil.example"}
        headers |= {"Content-Type": kind} if kind else {}
        answer = api.client.request("POST", url, headers=headers, content=body)
        assert answer.status_code == 422, (kind, answer.text)
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    asked = api.client.request("OPTIONS", url, headers=asking)
    assert asked.status_code == 405
    assert not [name for name in asked.headers if name.startswith("access-control-")]
    own = {"Cookie": f"_token={cookie}", "Content-Type": "application/json"}
    assert api.client.request("POST", url, headers=own, content=body).status_code == 200


@pytest.mark.held("thousands of patterns at once")
def test_five_thousand_patterns_are_answered_and_more_are_refused(api):
    for number in range(3):
        api.worker(f"{'a' * 150}{number}")
    patterns = [f"*a*a*a*a*b{number}" for number in range(5001)]
    assert api.call("POST", "/workers/shutdown", json={"workers": patterns}).status_code == 422
    began = time.monotonic()
    answer = api.call("POST", "/workers/shutdown", json={"workers": patterns[1:]})
    assert answer.status_code < 500
    assert time.monotonic() - began < 60
