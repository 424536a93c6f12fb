"""The REST API on Airflow's own configuration and database."""

from __future__ import annotations

from fastapi import FastAPI

from airflow_edge.admin.api import create_api
from airflow_edge.admin.config import read_patience, session


def create_app() -> FastAPI:
    """Build the API that Airflow's API server mounts; nothing is connected to before it is called."""
    return create_api(session, read_patience())
