"""The mark on every answer of the gateway, by which a worker tells it from that of somebody in between."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_edge.gateway.http import failure
from airflow_edge.protocol.tokens import answer_mark
from airflow_edge.protocol.urls import MARK_HEADER

LONG_BODY = 1024 * 1024
"""Bytes of an answer from which on its mark is made beside the event loop: a second is about a gigabyte."""


class MarkedApp(FastAPI):
    """An application that marks all its answers, also those to what it failed at.

    Outside of all middleware: the one that answers failures is the outermost.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await serve_marked(super().__call__, scope, receive, send)


async def serve_marked(application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Have an application serve a request, and mark its answer. A request without a token gets none that is marked."""
    token = _bearer(scope)
    if not token:
        await application(scope, receive, send)
        return
    # Of an answer to HEAD the server sends no body.
    marked = _Marked(send, token, bodiless=scope.get("method") == "HEAD")
    try:
        await application(scope, receive, marked)
    except Exception:
        # What Starlette leaves to the server: WebSockets, and what it takes for begun and was held here.
        if not marked.begun:
            await failure()(scope, receive, marked)
        raise


class _Marked:
    """Sends an answer on when it is whole, with its mark. One that breaks off is never begun."""

    def __init__(self, send: Send, token: str, *, bodiless: bool) -> None:
        self._send = send
        self._token = token
        self._bodiless = bodiless
        self._held: list[Message] = []
        self.begun = False
        """Whether anything has gone to the server."""

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self.begun = True
            await self._send(_with_mark(message, answer_mark(self._token, HTTPStatus.SWITCHING_PROTOCOLS, b"")))
        elif kind.endswith(".response.start"):
            self._held = [message]
        elif kind.endswith(".response.body"):
            self._held.append(message)
            if not message.get("more_body", False):
                await self._pass_on()
        else:
            self.begun = True
            await self._send(message)

    async def _pass_on(self) -> None:
        start, *parts = self._held
        self._held = []
        body = b"" if self._bodiless else b"".join(part.get("body", b"") for part in parts)
        if len(body) > LONG_BODY:
            mark = await asyncio.to_thread(answer_mark, self._token, start["status"], body)
        else:
            mark = answer_mark(self._token, start["status"], body)
        self.begun = True
        await self._send(_with_mark(start, mark))
        for part in parts:
            await self._send(part)


def _with_mark(message: Message, mark: str) -> Message:
    message = {**message, "headers": list(message.get("headers", ()))}
    headers = MutableHeaders(scope=message)
    headers[MARK_HEADER] = mark
    # An answer is for one request. Whoever would change its bytes (minify, compress) is told not to (RFC 9111, 5.2.2).
    headers["Cache-Control"] = "no-store, no-transform"
    return message


def _bearer(scope: Scope) -> str:
    for name, value in scope.get("headers", ()):
        if name.lower() == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return ""
