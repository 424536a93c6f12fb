"""The REST API's errors as problem documents (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response

from airflow_edge.admin.fleet import UnknownWorkerError
from airflow_edge.admin.policy import UnknownPolicyError
from airflow_edge.admin.rest.documents import ProblemDocument
from airflow_edge.admin.tokens import UnknownTokenError
from airflow_edge.protocol.problems import title_of
from airflow_edge.settings import SettingError
from airflow_edge.store.schema import in_words

log = logging.getLogger(__name__)

PROBLEM_TYPE: Final = "application/problem+json"
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status.value: {"model": ProblemDocument, "description": title_of(status), "content": {PROBLEM_TYPE: {}}}
    for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
}
"""The problems that every route may answer with."""

_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: "unauthenticated",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_ready",
}


def add_problem_handlers(app: FastAPI) -> None:
    """Have the app answer each error with a problem."""
    # Its base class: what Starlette itself refuses, an unknown path say, is one too.
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(UnknownWorkerError, _not_found)
    app.add_exception_handler(UnknownTokenError, _not_found)
    app.add_exception_handler(UnknownPolicyError, _not_found)
    app.add_exception_handler(SQLAlchemyError, _not_ready)
    app.add_exception_handler(SettingError, _not_set)


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    code = _CODES.get(HTTPStatus(status), "malformed")
    body = {"status": status, "code": code, "title": title_of(status), "detail": detail}
    return JSONResponse(body, status, headers, PROBLEM_TYPE)


async def _refused(request: Request, error: Exception) -> Response:
    refusal = cast("StarletteHTTPException", error)
    detail = str(refusal.detail)
    if refusal.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        root = request.scope.get("root_path", "")
        detail = f"There is nothing at {request.method} {request.url.path}; what there is: {root}/docs"
    return _problem(refusal.status_code, detail, refusal.headers)


async def _malformed(_: Request, error: Exception) -> Response:
    first = cast("RequestValidationError", error).errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{where}: {first['msg'].removeprefix('Value error, ')}")


async def _not_found(_: Request, error: Exception) -> Response:
    return _problem(HTTPStatus.NOT_FOUND, str(error))


async def _not_set(_: Request, error: Exception) -> Response:
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; set it at the centre and restart the API server.")


async def _not_ready(_: Request, error: Exception) -> Response:
    log.error("The database did not do what it was asked", exc_info=error)
    said = in_words(cast("SQLAlchemyError", error), details=False)
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{said[0].upper()}{said[1:]}.")
