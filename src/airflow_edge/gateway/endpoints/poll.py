"""The endpoints of links by long polling."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from airflow_edge.gateway.endpoints.link import serve
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.http import ProblemError, read_body
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.polling import CONTENT_TYPE, MAX_BODY_BYTES, WAIT, decode_frames
from airflow_edge.protocol.problems import CloseCode, Code
from airflow_edge.protocol.urls import POLL, poll_path


async def link_by_polling(gateway: Gateway, request: Request) -> Response:
    """Begin a link; the request carries the `Hello`.

    :raises ProblemError: it is not let in.
    :raises StoreUnavailableError: the database failed before that.
    """
    gateway.check_ready()
    worker = await gateway.authenticator.worker(request.headers, method="POST", path=POLL, everywhere=True)
    frames = await _frames(request)
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
    worker = await gateway.authenticator.worker(request.headers, method="POST", path=poll_path(name))
    connection = gateway.polls.get(name, worker.id)
    if connection is None:
        raise ProblemError(
            HTTPStatus.MISDIRECTED_REQUEST,
            Code.LINK_ELSEWHERE,
            "This API server process does not have this link. The worker tries others, and then links anew.",
        )
    try:
        frames = await _frames(request)
    except ProblemError:
        await connection.cut_off("what the worker sent could not be read", CloseCode.PROTOCOL_ERROR)
        raise
    if frames:
        return _response(await connection.take(frames))
    return _response(await connection.listen_while(WAIT, _hung_up(request)))


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _frames(request: Request) -> list[bytes]:
    try:
        return decode_frames(await read_body(request, MAX_BODY_BYTES))
    except RemoteProtocolError as error:
        raise _malformed(str(error)) from error


def _malformed(what: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, Code.MALFORMED, f"The request is not one of a link: {what}.")


def _response(reply: bytes) -> Response:
    return Response(reply, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
