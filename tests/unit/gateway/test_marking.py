"""The mark is on every answer to a request with a token, whoever made it, and on none that broke off."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.gateway import marking
from airflow_edge.gateway.marking import serve_marked
from airflow_edge.protocol.tokens import answer_mark
from airflow_edge.protocol.urls import MARK_HEADER


async def answers(application, *, kind: str = "http", method: str = "GET", token: str | None = "a-token") -> list[Any]:
    headers = [] if token is None else [(b"Authorization", b"bearer " + token.encode())]
    sent: list[Any] = []

    async def send(message):
        sent.append(message)

    async def receive():
        raise AssertionError

    with contextlib.suppress(RuntimeError):
        await serve_marked(application, {"type": kind, "method": method, "headers": headers}, receive, send)
    return sent


def mark_of(start) -> str | None:
    return {name.lower(): value.decode() for name, value in start["headers"]}.get(MARK_HEADER.lower().encode())


def says(status: int, *parts: bytes, kind: str = "http.response"):
    async def application(scope, receive, send):
        await send({"type": f"{kind}.start", "status": status, "headers": [(b"cache-control", b"max-age=60")]})
        for number, part in enumerate(parts, 1):
            await send({"type": f"{kind}.body", "body": part, "more_body": number < len(parts)})

    return application


@given(st.integers(200, 599), st.lists(st.binary(), min_size=1))
async def test_it_covers_status_and_body(status, parts):
    start, *bodies = await answers(says(status, *parts))
    assert mark_of(start) == answer_mark("a-token", status, b"".join(parts))
    assert [body["body"] for body in bodies] == parts
    assert (b"cache-control", b"no-store, no-transform") in start["headers"]
    assert (b"cache-control", b"max-age=60") not in start["headers"]


async def test_a_long_answer_is_marked_alike(monkeypatch):
    monkeypatch.setattr(marking, "LONG_BODY", 10)
    start, _ = await answers(says(200, b"x" * 11))
    assert mark_of(start) == answer_mark("a-token", 200, b"x" * 11)


async def test_of_an_answer_to_head_the_body_does_not_arrive():
    start, _ = await answers(says(200, b"body"), method="HEAD")
    assert mark_of(start) == answer_mark("a-token", 200, b"")


async def test_a_refused_and_an_accepted_upgrade_are_marked():
    start, _ = await answers(says(403, b"no", kind="websocket.http.response"), kind="websocket")
    assert mark_of(start) == answer_mark("a-token", 403, b"no")

    async def accept(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": b"x"})

    accepted, message = await answers(accept, kind="websocket")
    assert mark_of(accepted) == answer_mark("a-token", 101, b"")
    assert message == {"type": "websocket.send", "bytes": b"x"}


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_what_fails_before_or_in_the_middle_of_an_answer_is_a_marked_failure(kind):
    async def fail(scope, receive, send):
        raise RuntimeError

    async def fail_late(scope, receive, send):
        prefix = "websocket." if kind == "websocket" else ""
        await send({"type": f"{prefix}http.response.start", "status": 200, "headers": []})
        await send({"type": f"{prefix}http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError

    for application in (fail, fail_late):
        start, body = await answers(application, kind=kind)
        assert start["status"] == 500
        assert mark_of(start) == answer_mark("a-token", 500, body["body"])


async def test_an_answer_that_breaks_off_is_never_begun():
    async def cut(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    assert await answers(cut) == []


async def test_a_request_without_a_token_gets_no_mark():
    start, _ = await answers(says(401, b"no"), token=None)
    assert mark_of(start) is None
