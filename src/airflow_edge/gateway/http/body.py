"""Request bodies of a bounded size."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request

from airflow_edge.gateway.http.answers import RefusedError
from airflow_edge.protocol.problems import Code


async def read_body(request: Request, most: int) -> bytes:
    """Read the body.

    :param most: bytes
    :raises RefusedError: it is longer.
    :raises starlette.requests.ClientDisconnect: it has no end.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Code.MALFORMED, f"The request is longer than {most // 1024} KiB."
            )
    return bytes(body)
