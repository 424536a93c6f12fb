"""Serves the page's files. They hold nothing secret: what they show is asked of the REST API, as who is logged in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_edge.page.bundle import Bundle

# Said by ourselves: `mimetypes` asks the machine's registry, which may hold `text/plain` for them, and then no browser
# takes a module.
_TYPES: Final = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "json": "application/json"}


def create_app(bundle: Bundle) -> Starlette:
    """Build what Airflow's API server mounts under `/edge_worker/page`."""

    async def give(request: Request) -> Response:
        name = request.path_params["name"]
        content = bundle.files.get(name)
        if content is None:
            return _not_there(name, bundle.entry)
        lasting = bundle.is_lasting(name)
        return Response(
            content,
            media_type=_TYPES.get(name.rpartition(".")[2], "application/octet-stream"),
            headers={
                "Cache-Control": "public, max-age=31536000, immutable" if lasting else "public, max-age=3600",
                "X-Content-Type-Options": "nosniff",
            },
        )

    return Starlette(routes=[Route("/{name:path}", give, methods=["GET"])])


def _not_there(name: str, entry: str) -> Response:
    detail = (
        f"The page of edge workers has no file '{name[:200]}'; it begins with '{entry}'. After an update reload the "
        "page; if that does not help, several API servers run different versions of airflow-edge."
    )
    status = HTTPStatus.NOT_FOUND
    body = {"status": status, "code": "not_found", "title": status.phrase, "detail": detail}
    return JSONResponse(body, status, {"Cache-Control": "no-store"}, "application/problem+json")
