"""The REST API as an application, which Airflow's API server mounts."""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse

from airflow_edge import __version__
from airflow_edge.admin.rest.access import AdminServices, Look, may_read, nothing_found
from airflow_edge.admin.rest.centre import centre
from airflow_edge.admin.rest.changing import changing
from airflow_edge.admin.rest.enrolling import enrolling
from airflow_edge.admin.rest.policy.routes import policy
from airflow_edge.admin.rest.problems import add_problem_handlers
from airflow_edge.admin.rest.reading import reading
from airflow_edge.admin.rest.showing import showing
from airflow_edge.admin.rest.unchanged import Unchanged


def create_app(look: Look = nothing_found) -> FastAPI:
    """Build the API that Airflow's API server mounts; nothing is connected to before it is called.

    :param look: finds out what is wrong with the centre
    """
    app = FastAPI(
        title="airflow-edge",
        version=__version__,
        description="Edge workers, their jobs and queues. Airflow's own authentication; every change is audited.",
        openapi_url=None,
    )
    app.state.services = AdminServices(look)
    app.include_router(showing)
    app.include_router(reading)
    app.include_router(changing)
    app.include_router(enrolling)
    app.include_router(policy)
    app.include_router(centre)
    _describe(app)
    add_problem_handlers(app)
    app.add_middleware(Unchanged)
    return app


def _describe(app: FastAPI) -> None:
    """Show what the API says of itself, to who may read by it."""
    pages = APIRouter(dependencies=[Depends(may_read)], include_in_schema=False)

    def document_of(request: Request) -> str:
        return f"{request.scope.get('root_path', '').rstrip('/')}/openapi.json"

    @pages.get("/openapi.json")
    def document(request: Request) -> JSONResponse:
        server = {"url": request.scope.get("root_path", "") or "/"}
        return JSONResponse({**app.openapi(), "servers": [server]})

    @pages.get("/docs")
    def docs(request: Request) -> HTMLResponse:
        return get_swagger_ui_html(openapi_url=document_of(request), title=app.title)

    @pages.get("/redoc")
    def redoc(request: Request) -> HTMLResponse:
        return get_redoc_html(openapi_url=document_of(request), title=app.title)

    app.include_router(pages)
