"""Each answer of the gateway is the supervisor's, but for those that say that nobody is there; a stranger's is not."""

from __future__ import annotations

import msgspec
import pytest

from airflow_edge.agent.errors import AgentError, ForeignAnswerError, UnreachableError
from airflow_edge.agent.net.http import HttpClient, Response
from airflow_edge.agent.task_api import forwarder
from airflow_edge.agent.task_api.forwarder import Forwarder, Request
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.problems import Code, Problem

KEY = AssignmentKey("00000000-0000-4000-8000-000000000001", 1)


class Http(HttpClient):
    """Gives these answers, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: AgentError | Response) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self._answers = list(answers)

    async def request(self, method: str, path: str, *, body: bytes = b"", **_: object) -> Response:
        self.asked.append((method, path, body))
        answer = self._answers.pop(0)
        if isinstance(answer, AgentError):
            raise answer
        return answer


def refused(status: int, code: Code) -> Response:
    return Response(status, {}, msgspec.json.encode(Problem(status=status, code=code, detail="not now")))


@pytest.mark.parametrize(
    "away",
    [
        UnreachableError("lost"),
        ForeignAnswerError("page", 404),
        Response(502, {}, b""),
        Response(503, {}, b""),
        refused(401, Code.CLOCK_SKEW),
        refused(408, Code.TOO_SLOW),
        refused(429, Code.TOO_MANY),
    ],
)
async def test_a_call_is_repeated_as_it_was_until_the_centre_answers(away: AgentError | Response) -> None:
    http = Http(away, away, Response(409, {"x": "y", "set-cookie": "z"}, b"no"))
    tried: list[None] = []
    request = Request("PATCH", "/task-instances/1/state", "", {}, b"body")
    response = await Forwarder(http).forward(KEY, request, lambda: tried.append(None))
    assert (response.status, response.headers, response.body) == (409, {"x": "y"}, b"no")
    assert http.asked == [("PATCH", "/v1/execution/task-instances/1/state", b"body")] * 3
    assert len(tried) == 3


REQUEST = Request("POST", "/xcoms/a/b/c/d", "", {}, b"x" * 2000)
TOO_LARGE = ForeignAnswerError("something answers 413 (a body of 2000 bytes)", 413)


async def test_what_somebody_on_the_way_finds_too_large_fails_once_it_is_certain(monkeypatch):
    monkeypatch.setattr(forwarder, "TOO_LARGE_AFTER", 0.0)
    http = Http(TOO_LARGE, Response(200))
    response = await Forwarder(http).forward(KEY, REQUEST, lambda: None)
    assert response.status == 413
    assert b"2000 bytes" in response.body
    # That he lets others through was tried.
    assert [path for _, path, _ in http.asked] == ["/v1/execution/xcoms/a/b/c/d", "/v1/health"]


async def test_it_does_not_fail_as_long_as_he_lets_nobody_through(monkeypatch):
    monkeypatch.setattr(forwarder, "TOO_LARGE_AFTER", 0.0)
    http = Http(TOO_LARGE, TOO_LARGE, TOO_LARGE, UnreachableError("away"), Response(201))
    assert (await Forwarder(http).forward(KEY, REQUEST, lambda: None)).status == 201


@pytest.mark.parametrize("status", [0, 200, 204, 302, 400, 401, 403, 404, 407, 408, 409, 429, 500, 511, 520])
async def test_nothing_else_that_a_stranger_says_fails_a_call(monkeypatch, status):
    monkeypatch.setattr(forwarder, "TOO_LARGE_AFTER", 0.0)
    http = Http(ForeignAnswerError("page", status), Response(200))
    assert (await Forwarder(http).forward(KEY, REQUEST, lambda: None)).status == 200


async def test_a_call_that_strangers_answer_for_a_while_is_a_condition_until_it_is_delivered(monkeypatch):
    monkeypatch.setattr(forwarder, "CONDITION_AFTER", 0.0)
    conditions: list[str] = []

    class Watched(Http):
        async def request(self, method: str, path: str, *, body: bytes = b"", **_: object) -> Response:
            conditions.append(forwarding.condition)
            return await super().request(method, path, body=body)

    page = ForeignAnswerError("something before the centre answers 404", 404)
    forwarding = Forwarder(Watched(page, UnreachableError("lost"), page, Response(200)))
    await forwarding.forward(KEY, REQUEST, lambda: None)
    assert ["404" in condition for condition in conditions] == [False, True, False, True]
    assert forwarding.condition == ""
