"""What is a success although it looks like a conflict. The rest is seen from outside, in the integration tests."""

from __future__ import annotations

import json

import pytest

from airflow_edge.agent.errors import UnreachableError
from airflow_edge.agent.events import Key
from airflow_edge.agent.forward import Forwarder
from airflow_edge.agent.http import Response as CentreResponse
from airflow_edge.agent.localserver import Request

KEY = Key("00000000-0000-4000-8000-000000000001", 1)
STATE = "/task-instances/1/state"
RUN = "/dag-runs/dag/run"


class Http:
    """Loses the first answer, and gives the second."""

    def __init__(self, lost: UnreachableError, answer: CentreResponse) -> None:
        self._answers: list[UnreachableError | CentreResponse] = [lost, answer]

    async def request(self, method: str, path: str, **_: object) -> CentreResponse:
        answer = self._answers.pop(0)
        if isinstance(answer, UnreachableError):
            raise answer
        return answer


def conflict(**detail: object) -> CentreResponse:
    return CentreResponse(409, {}, json.dumps({"detail": detail}).encode())


def was(state: str | None) -> CentreResponse:
    return conflict(reason="invalid_state", message="…", previous_state=state)


async def seen(request: tuple[str, str, str], answer: CentreResponse, *, perhaps_delivered: bool = True) -> int:
    method, path, body = request
    lost = UnreachableError("lost", perhaps_delivered=perhaps_delivered)
    forwarder = Forwarder(Http(lost, answer))
    tried: list[None] = []
    response = await forwarder.forward(KEY, Request(method, path, "", {}, body.encode()), lambda: tried.append(None))
    assert len(tried) == 2
    return response.status


def wish(state: str) -> tuple[str, str, str]:
    return "PATCH", STATE, json.dumps({"state": state})


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "deferred", "up_for_reschedule"])
async def test_a_state_that_is_there_already_was_set_by_the_lost_call(state: str) -> None:
    assert await seen(wish(state), was(state)) == 200


@pytest.mark.parametrize(("wished", "now"), [("deferred", "scheduled"), ("up_for_reschedule", "queued")])
async def test_a_task_may_have_moved_on_since(wished: str, now: str) -> None:
    assert await seen(wish(wished), was(now)) == 200


@pytest.mark.parametrize(
    ("wished", "now"),
    [("success", "failed"), ("success", "queued"), ("deferred", "failed"), ("deferred", "removed"), ("failed", None)],
)
async def test_another_state_was_set_by_somebody_else(wished: str, now: str | None) -> None:
    assert await seen(wish(wished), was(now)) == 409


async def test_a_dag_run_that_exists_was_made_by_the_lost_call() -> None:
    answer = conflict(reason="already_exists", message="…")
    assert await seen(("POST", RUN, "{}"), answer) == 200
    assert await seen(("GET", RUN, ""), answer) == 409


async def test_a_call_that_was_never_sent_has_done_nothing() -> None:
    assert await seen(wish("success"), was("success"), perhaps_delivered=False) == 409


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"detail": "text"}'])
async def test_a_conflict_in_other_words_is_passed_on(body: bytes) -> None:
    assert await seen(wish("success"), CentreResponse(409, {}, body)) == 409
