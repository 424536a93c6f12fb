"""The REST API as an application, which Airflow's API server mounts."""

from __future__ import annotations

from fastapi import FastAPI

from airflow_edge import __version__
from airflow_edge.admin.rest.access import AdminServices, Look, nothing_found
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
    )
    app.state.services = AdminServices(look)
    app.include_router(showing)
    app.include_router(reading)
    app.include_router(changing)
    app.include_router(enrolling)
    app.include_router(policy)
    app.include_router(centre)
    add_problem_handlers(app)
    app.add_middleware(Unchanged)
    return app
