"""A supervisor's connection to the local server: h11 speaks, asyncio listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeAlias

import h11
import msgspec

from airflow_edge.agent.net.http import Response
from airflow_edge.agent.task_api.forwarder import Request
from airflow_edge.protocol.urls import LONGEST_CALL, SHORT_CALL
from airflow_edge.room import Room
from airflow_edge.site.kernel import is_ours

log = logging.getLogger(__name__)

TOO_LONG: Final = msgspec.json.encode(
    {
        "detail": {
            "reason": "too_large",
            "message": f"the call is longer than {LONGEST_CALL // 1024 // 1024} MiB; keep large values in a store of "
            "their own, for example with an XCom backend",
        }
    }
)

UNCHECKED: Final = 4096
"""Bytes of a body that are read of anybody: so the answer to one that is not known any more arrives for certain."""

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
Doorkeeper: TypeAlias = Callable[[Request], Response | None]
"""Is asked with the head of a call whose body is not read yet; gives the answer to one that may not be made."""


class Conversation(asyncio.Protocol):
    """One kept-alive connection; one call at a time."""

    def __init__(self, handler: Handler, doorkeeper: Doorkeeper, conversations: set[Conversation], room: Room) -> None:
        """:param room: for the bodies of all calls together: what finds none is not read"""
        self._handler = handler
        self._doorkeeper = doorkeeper
        self._room = room
        self._conversations = conversations
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
        self._transport: asyncio.Transport | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._ahead = 0
        """What came while a call was answered."""
        self._call: asyncio.Task[None] | None = None
        self._whole = asyncio.Event()
        self._has_room = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker: it is a stream's
        if not is_ours(transport.get_extra_info("socket")):
            # A supervisor is this user's, whoever its task is.
            transport.abort()
            return
        self._transport = transport
        self._conversations.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._conversations.discard(self)
        self._transport = None
        if self._call is not None:
            self._call.cancel()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        if self._whole.is_set():
            self._ahead += len(data)
            if self._ahead > SHORT_CALL:
                # A call at a time, and no store for those that nobody can answer yet.
                self.close()
            return
        self._advance()

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _advance(self) -> None:
        """Take what has come, as far as there is room for it."""
        try:
            while self._has_room and not self._whole.is_set():
                match self._http.next_event():
                    case h11.Request() as head:
                        self._begin(head)
                    case h11.Data(data=data):
                        self._size += len(data)
                        if self._size > LONGEST_CALL:
                            self._refuse(_TOO_LONG)
                            return
                        self._body.append(bytes(data))
                    case h11.EndOfMessage():
                        self._whole.set()
                    case _:
                        return
        except h11.RemoteProtocolError as error:
            if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                self._send(Response(error.error_status_hint, body=str(error).encode()))
            self._hang_up()

    def _begin(self, head: h11.Request) -> None:
        headers = dict(head.headers)
        length = LONGEST_CALL if b"transfer-encoding" in headers else int(headers.get(b"content-length", b"0"))
        self._body, self._size, self._ahead = [], 0, 0
        if length > UNCHECKED and (refusal := self._doorkeeper(_request(head, b""))):
            self._refuse(refusal)
            return
        if length > LONGEST_CALL:
            self._refuse(_TOO_LONG)
            return
        self._has_room = length <= SHORT_CALL
        self._call = asyncio.ensure_future(self._serve(head, length))

    async def _serve(self, head: h11.Request, length: int) -> None:
        """Take a call's body, and answer it."""
        async with contextlib.AsyncExitStack() as stack:
            if length > SHORT_CALL:
                self._pause()
                await stack.enter_async_context(self._room.taken(length))
                self._has_room = True
                self._go_on()
            if self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
            self._advance()
            await self._whole.wait()
            request = _request(head, b"".join(self._body))
            self._body.clear()
            await self._answer(request)
        self._whole.clear()
        self._call = None
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._advance()
        else:
            self._hang_up()

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._handler(request)
        except Exception:
            log.exception("the call %s %s failed here", request.method, request.path)
            response = Response(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(response)

    def _refuse(self, answer: Response) -> None:
        """Answer a call that is not taken; what is left of it is not read."""
        self._has_room = False
        if self._call is not None:
            self._call.cancel()
        self._send(answer)
        self._hang_up()

    def _pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

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


_TOO_LONG = Response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"content-type": "application/json"}, TOO_LONG)
