from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.gateway.access.states import changes, deferral, without
from airflow_edge.rules.policy.grants import Grant, Need

pytestmark = pytest.mark.attack(26)


def defers(name: str) -> list[Need]:
    return [Need(grant=Grant.DEFER, name=name)]


def sets(*names: str) -> list[Need]:
    return [Need(grant=Grant.SET_ASSETS, name=name) for name in names]


def asset(name: str | None, uri: str | None = None, kind: str = "Asset") -> dict[str, object]:
    return {"name": name, "uri": uri, "type": kind}


def event(name: str) -> dict[str, object]:
    return {"dest_asset_key": {"name": name, "uri": f"s3://{name}"}, "extra": {"rows": 1}}


@pytest.mark.parametrize(
    ("said", "trigger", "assets"),
    [
        ({"state": "success", "task_outlets": [], "outlet_events": []}, [], []),
        ({"state": "failed", "end_date": "2026-01-01T00:00:00Z"}, [], []),
        ({"state": "deferred", "classpath": "os.system"}, defers("os.system"), []),
        ({"state": "success", "classpath": "os.system"}, defers("os.system"), []),
        ({"task_outlets": [asset("a", "s3://a"), asset("a", "s3://b")]}, [], sets("a")),
        ({"task_outlets": [asset("a", kind="AssetNameRef")]}, [], sets("a")),
        ({"task_outlets": [asset("granted", "s3://a", "AssetUriRef")]}, [], sets("s3://a")),
        ({"outlet_events": [event("b")]}, [], sets("b")),
        ([{"classpath": "os.system"}], defers(""), []),
        ({"classpath": ["os.system"]}, defers(""), []),
        ({"task_outlets": [1]}, defers(""), []),
    ],
)
def test_what_a_state_says_of_others_needs_to_be_granted(said: object, trigger: list[Need], assets: list[Need]) -> None:
    body = json.dumps(said).encode()
    assert deferral(body) == trigger
    assert changes(body) == assets


@pytest.mark.parametrize("body", [b'{"classpath": "a", "classpath": "os.system"}', b'{"class\\u0070ath": "os.system"}'])
def test_a_trigger_is_seen_however_it_is_written(body: bytes) -> None:
    assert deferral(body) == defers("os.system")
    assert json.loads(body)["classpath"] == "os.system"


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf{}", '{"classpath": "a"}'.encode("utf-16"), b"{", b"", b"[" * 100_000])
def test_what_cannot_be_read_needs_what_nobody_is_granted_by_name(body: bytes) -> None:
    assert deferral(body) == defers("")
    assert changes(body) == []


NAMES = st.sampled_from(["a", "b", "c"])
STATES = st.fixed_dictionaries(
    {"state": st.just("success"), "end_date": st.just("2026-01-01T00:00:00Z")},
    optional={
        "task_outlets": st.lists(st.builds(asset, NAMES, NAMES, st.sampled_from(["Asset", "AssetUriRef"]))),
        "outlet_events": st.lists(st.builds(event, NAMES)),
    },
)


@given(said=STATES, withheld=st.sets(NAMES))
def test_what_is_withheld_is_as_if_it_had_not_been_said_and_all_else_is(
    said: dict[str, Any], withheld: set[str]
) -> None:
    body = json.dumps(said).encode()
    left = without(body, sets(*withheld))
    assert [need for need in changes(body) if need.name not in withheld] == changes(left)
    kept = json.loads(left)
    assert kept.keys() == said.keys()
    for name, value in said.items():
        if isinstance(value, list):
            assert all(one in value for one in kept[name])
        else:
            assert kept[name] == value
    assert withheld or kept == said
