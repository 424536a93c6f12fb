"""The endpoints of links by long polling."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from airflow_edge.gateway.access.authentication import Caller, bearer, expiry, read_claims
from airflow_edge.gateway.endpoints.link import serve
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.http import ProblemError
from airflow_edge.gateway.links.polling import link_elsewhere, over, tag_of
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.polling import CONTENT_TYPE, WAIT, decode_frames, encode_frames
from airflow_edge.protocol.problems import CloseCode, Code
from airflow_edge.protocol.urls import PASSED_ON_HEADER, POLL, poll_path

_NAME: Final = re.compile("[0-9a-f]{32}")


async def link_by_polling(gateway: Gateway, request: Request) -> Response:
    """Begin a link; the request carries the `Hello`.

    :raises ProblemError: it is not let in.
    :raises StoreUnavailableError: the database failed before that.
    """
    gateway.check_ready()
    caller = await gateway.authenticator.caller(
        request.headers, method="POST", path=POLL, query=request.url.query, everywhere=True
    )
    worker = caller.worker
    async with gateway.bodies.read_frames(request, who=worker.id) as body:
        frames = await _frames(body, caller)
        if len(frames) != 1:
            raise _malformed("a link begins with one frame, the Hello")
        connection = gateway.polls.open(
            worker.id,
            lambda connection: serve(gateway, worker, connection),
            address=request.client.host if request.client else "",
        )
        await connection.take(frames)
    return _response(await connection.listen_while(WAIT, _hung_up(request)))


async def poll(gateway: Gateway, request: Request) -> Response:
    """Take frames up a link, or, without any, wait for the centre's.

    :raises ProblemError: there is no such link, or the request is not one of its worker.
    :raises StoreUnavailableError: the database failed.
    """
    gateway.check_ready()
    name = str(request.path_params["link"])
    caller = await gateway.authenticator.caller(
        request.headers, method="POST", path=poll_path(name), query=request.url.query
    )
    connection = gateway.polls.get(name, caller.worker.id)
    if connection is None:
        return await _pass_on(gateway, caller, name, request)
    try:
        async with gateway.bodies.read_frames(request, who=caller.worker.id) as body:
            if frames := await _frames(body, caller):
                return _response(await connection.take(frames))
    except ProblemError as error:
        error.worker_id = caller.worker.id
        passes = error.problem.code in {Code.NOT_READY, Code.TOO_SLOW, Code.TOO_MANY}
        code = CloseCode.UNREADY if passes else CloseCode.PROTOCOL_ERROR
        await connection.cut_off("what the worker sent could not be read", code)
        raise
    return _response(await connection.listen_while(WAIT, _hung_up(request)))


async def _pass_on(gateway: Gateway, caller: Caller, name: str, request: Request) -> Response:
    """Have the process answer that has the link: its name says which one that is."""
    if not _NAME.fullmatch(name):
        raise link_elsewhere()
    if tag_of(name) == gateway.polls.tag:
        return _response(over(name))
    async with AsyncExitStack() as room:
        read = await room.enter_async_context(gateway.bodies.read_frames(request, who=caller.worker.id))
        frames = await _frames(read, caller)
        if not frames:
            # One that only listens waits for long, and takes up nothing.
            await room.aclose()
        return await _ask(gateway, caller, name, encode_frames(frames) if frames else b"", request)


async def _ask(gateway: Gateway, caller: Caller, name: str, body: bytes, request: Request) -> Response:
    claims = read_claims(bearer(request.headers))
    asking = asyncio.ensure_future(
        gateway.passing.ask(name, caller.worker.id, body, token_id=claims.jti, expires_at=expiry(claims))
    )
    watching = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait([asking, watching], return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise ClientDisconnect
        answer = _response(await asking)
        answer.headers[PASSED_ON_HEADER] = "1"
        return answer
    finally:
        asking.cancel()
        watching.cancel()
        await asyncio.gather(asking, watching, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _frames(body: bytes, caller: Caller) -> list[bytes]:
    await caller.check_body(body)
    try:
        return decode_frames(body)
    except RemoteProtocolError as error:
        raise _malformed(str(error)) from error


def _malformed(what: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, Code.MALFORMED, f"The request is not one of a link: {what}.")


def _response(reply: bytes) -> Response:
    return Response(reply, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
