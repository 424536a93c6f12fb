"""The endpoints of links by long polling."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_edge.gateway.centre import Centre
from airflow_edge.gateway.endpoints.link import serve
from airflow_edge.gateway.http.answers import RefusedError
from airflow_edge.gateway.http.body import read_body
from airflow_edge.gateway.http.endpoint import Endpoint
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.polling import CONTENT_TYPE, MAX_BODY_BYTES, WAIT, Reply, decode_frames, encode_reply
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.urls import POLL, poll_path


class PollDoor:
    """What is behind `/v1/poll`."""

    def __init__(self, centre: Callable[[], Centre]) -> None:
        """Set it up.

        :param centre: gives what is behind the gateway, or raises `RefusedError` while it is not ready
        """
        self._centre = centre

    def routes(self, prefix: str = "") -> list[Route]:
        """Give the routes; `prefix` goes before their paths."""
        return [
            Route(prefix + POLL, Endpoint(self._open, ("POST",))),
            Route(prefix + poll_path("{link}"), Endpoint(self._poll, ("POST",))),
        ]

    async def _open(self, request: Request) -> Response:
        centre = self._centre()
        worker = await centre.authenticator.worker(request.headers, method="POST", paths=(POLL,), everywhere=True)
        frames = await _frames(request)
        if len(frames) != 1:
            raise _malformed("a link begins with one frame, the Hello")
        connection = centre.polls.open(worker.id, lambda connection: serve(centre, worker, connection))
        await connection.take(frames)
        return _response(await connection.listen_while(WAIT, _hung_up(request)))

    async def _poll(self, request: Request) -> Response:
        centre = self._centre()
        name = str(request.path_params["link"])
        worker = await centre.authenticator.worker(request.headers, method="POST", paths=(poll_path(name),))
        connection = centre.polls.get(name, worker.id)
        if connection is None:
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                Code.LINK_ELSEWHERE,
                "This API server process does not have this link. The worker tries others, and then links anew.",
            )
        try:
            frames = await _frames(request)
        except RefusedError:
            await connection.cut_off("what the worker sent could not be read")
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


def _malformed(what: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, Code.MALFORMED, f"The request is not one of a link: {what}.")


def _response(reply: Reply) -> Response:
    return Response(encode_reply(reply), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
