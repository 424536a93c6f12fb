"""A supervisor's connection to the local server: h11 speaks, asyncio listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

import h11

from airflow_edge.agent.net.http import Response
from airflow_edge.agent.task_api.forwarder import Request

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Conversation(asyncio.Protocol):
    """One kept-alive connection; one call at a time."""

    def __init__(self, handler: Handler, conversations: set[Conversation]) -> None:
        self._handler = handler
        self._conversations = conversations
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
        self._transport: asyncio.WriteTransport | None = None
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._call: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - for the type checker: it is a stream's
        self._transport = transport
        self._conversations.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._conversations.discard(self)
        self._transport = None
        if self._call is not None:
            self._call.cancel()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        if self._call is None:
            self._advance()

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _advance(self) -> None:
        """Take what has come; begin the call when it is complete."""
        try:
            while True:
                match self._http.next_event():
                    case h11.Request() as head:
                        self._head, self._body = head, []
                        if self._http.they_are_waiting_for_100_continue:
                            self._write(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
                    case h11.Data(data=data):
                        self._body.append(bytes(data))
                    case h11.EndOfMessage() if self._head is not None:
                        request = _request(self._head, b"".join(self._body))
                        self._call = asyncio.ensure_future(self._answer(request))
                        return
                    case _:
                        return
        except h11.RemoteProtocolError as error:
            if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                self._send(Response(error.error_status_hint, body=str(error).encode()))
            self._hang_up()

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._handler(request)
        except Exception:
            log.exception("the call %s %s failed here", request.method, request.path)
            response = Response(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._call = None
        self._send(response)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._advance()
        else:
            self._hang_up()

    def _send(self, response: Response) -> None:
        headers = [*response.headers.items(), ("content-length", str(len(response.body)))]
        self._write(h11.Response(status_code=response.status, headers=headers))
        if response.body:
            self._write(h11.Data(data=response.body))
        self._write(h11.EndOfMessage())

    def _write(self, event: h11.Event) -> None:
        if (data := self._http.send(event)) and self._transport is not None:
            self._transport.write(data)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii"), path, query, headers, body)
