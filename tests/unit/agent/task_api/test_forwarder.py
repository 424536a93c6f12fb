"""Each answer is the supervisor's, but for those that say that nobody is there. The rest is seen from outside."""

from __future__ import annotations

import pytest

from airflow_edge.agent.errors import AgentError, UnreachableError
from airflow_edge.agent.net.http import HttpClient, Response
from airflow_edge.agent.task_api.forwarder import Forwarder, Request
from airflow_edge.protocol.assignment import AssignmentKey

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


@pytest.mark.parametrize("away", [UnreachableError("lost"), Response(502, {}, b""), Response(503, {}, b"")])
async def test_a_call_is_repeated_as_it_was_until_the_centre_answers(away: AgentError | Response) -> None:
    http = Http(away, away, Response(409, {"x": "y", "set-cookie": "z"}, b"no"))
    tried: list[None] = []
    request = Request("PATCH", "/task-instances/1/state", "", {}, b"body")
    response = await Forwarder(http).forward(KEY, request, lambda: tried.append(None))
    assert (response.status, response.headers, response.body) == (409, {"x": "y"}, b"no")
    assert http.asked == [("PATCH", "/v1/execution/task-instances/1/state", b"body")] * 3
    assert len(tried) == 3
