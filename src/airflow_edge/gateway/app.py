"""The FastAPI application that Airflow's API server mounts under `/edge_worker`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from airflow_edge.gateway.endpoints.execution import ExecutionGate
from airflow_edge.gateway.endpoints.link import Door
from airflow_edge.gateway.endpoints.poll import PollDoor
from airflow_edge.gateway.endpoints.shared_secret import AirflowSecret
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.http.answers import RefusedError, json_response, problem_response
from airflow_edge.gateway.http.endpoint import Endpoint, Refusal
from airflow_edge.gateway.openapi import Health
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.urls import ENROLL, EXECUTION, HEALTH, LINK
from airflow_edge.store.transactions import SessionFactory

OLD_PATHS: Final = ("/v1/worker", "/v1/jobs", "/v1/logs", "/v1/rpcapi")
"""Where workers of `apache-airflow-providers-edge3` call."""

_EVERYTHING: Final = "/{rest:path}"


def create_app(config: GatewayConfig | None = None, session_factory: SessionFactory | None = None) -> FastAPI:
    """Build the gateway; nothing is connected to before its lifespan begins.

    :param config: the settings; Airflow's configuration where they are not given
    :param session_factory: gives sessions on Airflow's database; Airflow's own where it is not given
    """
    config = config or read_config()
    return _working_app(Gateway(config, session_factory)) if config.api_enabled else _disabled_app()


def _working_app(gateway: Gateway) -> FastAPI:
    async def health(_: Request) -> Response:
        try:
            gateway.check_ready()
        except RefusedError as refusal:
            obstacle = Health(status="not_ready", version=__version__, detail=refusal.problem.detail)
            return json_response(obstacle, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_response(Health(status="healthy", version=__version__))

    async def enroll_worker(request: Request) -> Response:
        return await enroll(gateway.centre, AirflowSecret(), request)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running():
            yield

    app = _bare_app(lifespan=lifespan)
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
    unknown = Refusal(HTTPStatus.NOT_FOUND, Code.MALFORMED, "There is nothing at this address of the edge gateway.")
    app.router.routes += [
        Route(HEALTH, Endpoint(health, ("GET", "HEAD"))),
        Route(ENROLL, Endpoint(enroll_worker, ("POST",))),
        Route(f"{EXECUTION}/{{path:path}}", ExecutionGate(lambda: gateway.centre, lambda: gateway.task_api)),
        WebSocketRoute(LINK, Door(lambda: gateway.centre)),
        Route(LINK, upgrade),
        *PollDoor(lambda: gateway.centre).routes(),
        *(Route(path + rest, gone) for path in OLD_PATHS for rest in ("", _EVERYTHING)),
        *_everywhere(unknown),
    ]
    return app


def _disabled_app() -> FastAPI:
    app = _bare_app()
    app.router.routes += _everywhere(
        Refusal(
            HTTPStatus.SERVICE_UNAVAILABLE,
            Code.API_NOT_ENABLED,
            "Edge workers are not served here: set [edge] api_enabled = True (AIRFLOW__EDGE__API_ENABLED=True) at the "
            "centre and restart the API server.",
        )
    )
    return app


def _bare_app(**options: Any) -> FastAPI:
    app = FastAPI(
        title="airflow-edge gateway", version=__version__, openapi_url=None, redirect_slashes=False, **options
    )

    async def failed(_: Request, error: Exception) -> Response:
        refusal = RefusedError(
            HTTPStatus.INTERNAL_SERVER_ERROR, Code.NOT_READY, "The gateway failed; the API server's log says more."
        )
        return problem_response(refusal.problem)

    app.add_exception_handler(Exception, failed)
    return app


def _everywhere(application: ASGIApp) -> list[Route | WebSocketRoute]:
    return [Route(_EVERYTHING, application), WebSocketRoute(_EVERYTHING, application)]
