"""The FastAPI application that Airflow's API server mounts under `/edge_worker`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from airflow_edge import __version__
from airflow_edge.gateway.config import GatewayConfig, read_config
from airflow_edge.gateway.endpoints.enroll import enroll
from airflow_edge.gateway.endpoints.execution import ExecutionEndpoint
from airflow_edge.gateway.endpoints.link import link_by_websocket
from airflow_edge.gateway.endpoints.poll import link_by_polling, poll
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.http import ProblemError, Refusal, exception_handlers, json_response, routes
from airflow_edge.gateway.marking import MarkedApp
from airflow_edge.gateway.openapi import Health
from airflow_edge.gateway.refusals import Refusals
from airflow_edge.gateway.task_api import TaskApi
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.urls import ENROLL, EXECUTION, HEALTH, LINK, POLL, poll_path
from airflow_edge.store.transactions import SessionFactory

log = logging.getLogger(__name__)

OLD_PATHS: Final = ("/v1/worker", "/v1/jobs", "/v1/logs", "/v1/rpcapi")
"""Where workers of `apache-airflow-providers-edge3` call."""

_EVERYTHING: Final = "/{rest:path}"


def create_app(
    config: GatewayConfig | None = None,
    session_factory: SessionFactory | None = None,
    load_task_api: Callable[[], TaskApi] = TaskApi,
) -> FastAPI:
    """Build the gateway; nothing is connected to before its lifespan begins.

    :param config: the settings; Airflow's configuration where they are not given
    :param session_factory: gives sessions on Airflow's database; Airflow's own where it is not given
    :param load_task_api: makes the Execution API that tasks' calls are passed to
    """
    try:
        config = config or read_config()
    except ValueError as error:
        # Airflow's own API server starts all the same.
        log.error("No edge worker is served: %s", error)
        # The setting's value, which may be a secret, is in that sentence.
        return _refusing_app(
            Code.NOT_READY,
            "A setting of [edge] makes no sense: `airflow edge check` there and the API server's log say which.",
        )
    if not config.api_enabled:
        return _refusing_app(
            Code.API_NOT_ENABLED,
            "Edge workers are not served here: set [edge] api_enabled = True (AIRFLOW__EDGE__API_ENABLED=True) at the "
            "centre and restart the API server.",
        )
    return app_of(Gateway(config, session_factory, load_task_api))


def app_of(gateway: Gateway) -> FastAPI:
    """Give the endpoints of this gateway, which runs as long as the application."""

    async def health(_: Request) -> Response:
        versions = gateway.config.versions
        tell = partial(
            Health,
            version=versions.worker,
            airflow_version=versions.airflow,
            minimum_worker_version=versions.minimum_worker,
            minimum_airflow_version=versions.minimum_airflow,
        )
        try:
            gateway.check_ready(tasks=True)
        except ProblemError as error:
            answer = tell(status="not_ready", detail=error.problem.detail)
            return json_response(answer, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_response(tell(status="healthy", detail=gateway.trouble(), gateway=gateway.mark.id))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running():
            yield

    app = _bare_app(gateway.refusals, lifespan=lifespan)
    upgrade = Refusal(
        HTTPStatus.UPGRADE_REQUIRED,
        Code.MALFORMED,
        "This address speaks WebSocket only. If a proxy stands between, it has to let WebSocket upgrades through.",
    )
    gone = Refusal(
        HTTPStatus.GONE,
        Code.PROTOCOL_VERSION,
        "This centre runs airflow-edge; workers of apache-airflow-providers-edge3 do not work with it. At the site: "
        "pip uninstall apache-airflow-providers-edge3; pip install 'airflow-edge[worker]'; "
        "airflow-edge enroll URL TOKEN",
    )
    detail = "There is nothing at this address of the edge gateway."
    if base_url := gateway.config.base_url:
        detail += f" Airflow's own [api] base_url is {base_url}: use that URL, its path included."
    unknown = Refusal(HTTPStatus.NOT_FOUND, Code.UNKNOWN_ADDRESS, detail)
    app.router.routes += [
        *routes(HEALTH, health, "GET"),
        *routes(ENROLL, partial(enroll, gateway), "POST"),
        Route(f"{EXECUTION}/{{path:path}}", ExecutionEndpoint(gateway)),
        WebSocketRoute(LINK, partial(link_by_websocket, gateway)),
        Route(LINK, upgrade),
        *routes(POLL, partial(link_by_polling, gateway), "POST"),
        *routes(poll_path("{link}"), partial(poll, gateway), "POST"),
        *(Route(path + rest, gone) for path in OLD_PATHS for rest in ("", _EVERYTHING)),
        *_everywhere(unknown),
    ]
    return app


def _refusing_app(code: Code, detail: str) -> FastAPI:
    app = _bare_app(Refusals())
    app.router.routes += _everywhere(Refusal(HTTPStatus.SERVICE_UNAVAILABLE, code, detail))
    return app


def _bare_app(refusals: Refusals, **options: Any) -> FastAPI:
    return MarkedApp(
        title="airflow-edge gateway",
        version=__version__,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers=exception_handlers(refusals),
        **options,
    )


def _everywhere(application: ASGIApp) -> list[Route | WebSocketRoute]:
    return [Route(_EVERYTHING, application), WebSocketRoute(_EVERYTHING, application)]
