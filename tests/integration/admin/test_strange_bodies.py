"""What is sent to the REST API in trust matters may be anything: never a 5xx, and no trace of it in the log."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_edge.admin.policy_text import LONGEST

pytestmark = [pytest.mark.hypothesis, pytest.mark.one_database]

BASE = "http://centre/edge_worker/api"
DOCUMENT = json.loads((Path(__file__).parents[3] / "docs" / "reference" / "rest-api-openapi.json").read_text("utf-8"))
QUIET = settings(
    deadline=None,
    max_examples=10,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
ABOUT = r"^/(policy|enroll-tokens|enroll-attempts|permissions)"


@pytest.fixture(autouse=True)
def nothing_logged(caplog):
    yield
    assert not [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


def sent(api, method, path, **options):
    """Give the answer, which is one that was meant."""
    headers = {**api.headers("admin"), "Content-Type": "application/json"}
    answer = api.client.request(method, f"/edge_worker/api{path}", headers=headers, **options)
    assert answer.status_code < 500, (method, path, str(options)[:300], answer.text[:300])
    return answer


schema = schemathesis.openapi.from_dict(DOCUMENT).include(path_regex=ABOUT)


@schema.parametrize()
@QUIET
def test_requests_by_the_document(api, case):
    kwargs = case.as_transport_kwargs(base_url=BASE)
    answer = api.client.request(**{**kwargs, "headers": {**kwargs.get("headers", {}), **api.headers("admin")}})
    assert answer.status_code < 500, (case.as_curl_command(), answer.text[:300])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([2**70, "a\0b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = {
    "/policy": ("text", "note", "after"),
    "/enroll-tokens": ("queues", "team", "name_pattern", "seconds", "uses", "max_slots", "disconnect_grace", "api_url"),
}


@pytest.mark.parametrize("path", FIELDS)
def test_any_value_in_any_field(api, path):
    @settings(QUIET, max_examples=40)
    @given(st.dictionaries(st.sampled_from(FIELDS[path]), values) | values)
    def send(body):
        # As it is: lone surrogates, NaN and Infinity, too.
        content = json.dumps(body)
        sent(api, "POST", path, content=content, params={"dry_run": "true"} if path == "/policy" else {})

    send()


HUGE = {
    "NUL": {"text": "rules: []\0"},
    "half a character": {"text": "\ud800", "note": "\udfff"},
    "half a character in a rule": {"text": '{"rules": [{"note": "\\ud800", "may": {"trigger": ["a"]}}]}'},
    "a huge number": {"text": "{}", "after": 10**400},
    "not a number": {"text": "{}", "after": math.nan},
    "a number in it": {"text": f'{{"rules": {"9" * 5000}}}'},
    "nested JSON": {"text": '{"rules": ' + "[" * 500_000},
    "nested YAML": {"text": "rules: " + "[" * 500_000},
    "nested in lines": {"text": "- " * 500_000},
    "a million rules": {"text": "rules:\n" + "-\n" * 500_000},
    "too long": {"text": "#" * (LONGEST + 1)},
    "many globs": {"text": json.dumps({"rules": [{"may": {"trigger": ["*a" * 400 + "b"] * 1000}}]})},
}


@pytest.mark.parametrize("kind", HUGE)
def test_what_is_huge_or_no_text_is_refused_soon(api, kind):
    answer = sent(api, "POST", "/policy", content=json.dumps(HUGE[kind]), params={"dry_run": "true"})
    assert answer.status_code == (200 if kind == "many globs" else 422), answer.text[:1000]
    assert len(answer.text) < (2 * LONGEST if kind == "many globs" else 10_000)


def test_nested_bodies(api):
    for content in ("[" * 100_000, '{"text":' * 50_000, b"\xff\xfe", b"", '{"text": 1e999}'):
        assert 400 <= sent(api, "POST", "/policy", content=content).status_code < 500
    assert api.store.policies.newest() == 0
