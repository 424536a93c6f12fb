"""How the gateway says no: an HTTP answer with a `Problem` body that tells what to do."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.responses import Response

from airflow_edge.protocol.problems import Code, Problem

PROBLEM_TYPE = "application/problem+json"
"""The content type of RFC 9457: it also tells an answer of the gateway from one of Airflow's Execution API."""


class RefusedError(Exception):
    """A request that cannot be served; carries the whole answer."""

    def __init__(self, status: HTTPStatus, code: Code, detail: str, *, centre_time: float | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(
            status=status.value, code=code.value, detail=detail, title=status.phrase, centre_time=centre_time
        )


def problem_response(problem: Problem) -> Response:
    """Make the HTTP answer; the one for "not now" says when to try again."""
    headers = {"Retry-After": "2"} if problem.status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return Response(msgspec.json.encode(problem), problem.status, headers, PROBLEM_TYPE)


def json_response(body: msgspec.Struct, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Make the HTTP answer for a document."""
    return Response(msgspec.json.encode(body), status.value, media_type="application/json")


def not_ready(detail: str) -> RefusedError:
    """Make the refusal for when the centre cannot know right now; the caller tries again."""
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, Code.NOT_READY, detail)
