"""What a call's body is refused for before Airflow sees it."""

from __future__ import annotations

import json
import time

import pytest

from airflow_edge.gateway.access.malformed import MOST_VALUES, refusal, what_is_wrong

MANY = [0] * (MOST_VALUES + 1)
STATE = "/task-instances/1/state"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"end_date": NaN}', "NaN is no number"),
        (b'{"n": -Infinity}', "-Infinity is no number"),
        (b'{"n": 1e999}', "1e999 is too large a number"),
        (rb'{"state": "\ud800"}', "half of a surrogate pair"),
        (rb'{"\udfff": 1}', "half of a surrogate pair"),
        (b'{"state": "\xed\xa0\x80"}', "is no JSON"),
        (b'{"state"', "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (json.dumps({"task_outlets": MANY}).encode(), "more than 20000 values"),
        (json.dumps(MANY).encode(), "more than 20000 values"),
        (json.dumps({str(number): 0 for number in MANY and range(len(MANY))}).encode(), "more than 20000 values"),
        (json.dumps({"outlet_events": [[[0] * 9_000] * 2, [0] * 9_000]}).encode(), "more than 20000 values"),
    ],
)
async def test_attack_22_what_json_does_not_allow_or_is_far_too_much(body: bytes, why: str) -> None:
    assert why in what_is_wrong(body)
    answer = await refusal("PATCH", STATE, body)
    assert answer is not None
    assert answer.status_code == 422
    detail = json.loads(bytes(answer.body))["detail"]
    assert (detail["reason"], why in detail["message"]) == ("malformed", True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"state": "success", "end_date": "2026-01-01T00:01:00Z"}',
        rb'{"state": "\ud83d\ude00 \u0000"}',
        '{"note": "\U0001f600"}'.encode(),
        b'{"n": 1e308, "m": -0.5}',
        json.dumps({"trigger_kwargs": {"ids": MANY}, "next_kwargs": MANY, "state": "deferred"}).encode(),
    ],
)
async def test_what_the_task_sdk_says_is_passed_on(body: bytes) -> None:
    assert what_is_wrong(body) == ""
    assert await refusal("PATCH", STATE, body) is None


@pytest.mark.parametrize(("method", "path"), [("POST", "/xcoms/d/r/t/k"), ("PUT", "/variables/x"), ("GET", STATE)])
async def test_what_is_no_state_is_airflows_to_judge(method: str, path: str) -> None:
    assert await refusal(method, path, b"NaN") is None


async def test_attack_22_a_list_of_a_million_is_refused_at_once() -> None:
    began = time.process_time()
    assert await refusal("PATCH", STATE, json.dumps({"task_outlets": [0] * 1_000_000}).encode()) is not None
    assert time.process_time() - began < 5
