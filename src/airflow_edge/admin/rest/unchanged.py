"""What has not changed is not sent again: each answer to a GET has an ETag (RFC 9110); who has it is told so."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CACHE: Final = "private, no-cache"
"""A browser keeps the answer for its user and asks each time whether it still holds."""


class Unchanged:
    """Answers a GET with 304 where its body is the one that the caller has.

    The body is made all the same: it is the way to the caller, and what he does with it, that is saved.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, and look at what is answered."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _TaggedAnswer(Headers(scope=scope).get("If-None-Match", ""), send))


class _TaggedAnswer:
    """Keeps an answer back until it is whole; only those that are all right."""

    def __init__(self, known: str, send: Send) -> None:
        self._known = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        self._send = send
        self._start: Message | None = None
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish(self._start, b"".join(self._body))

    async def _finish(self, start: Message, body: bytes) -> None:
        headers = MutableHeaders(raw=start["headers"])
        headers["ETag"] = tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers["Cache-Control"] = CACHE
        if tag in self._known or "*" in self._known:
            start["status"], body = HTTPStatus.NOT_MODIFIED.value, b""
            del headers["Content-Length"]
            del headers["Content-Type"]
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})
