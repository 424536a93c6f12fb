"""The REST API on Airflow's own configuration and database."""

from __future__ import annotations

from typing import cast

from airflow import settings
from fastapi import FastAPI

from airflow_edge.admin.api import create_api
from airflow_edge.admin.config import read_patience
from airflow_edge.store.transactions import SessionFactory


def create_app() -> FastAPI:
    """Build the API that Airflow's API server mounts; nothing is connected to before it is called."""
    return create_api(lambda: cast("SessionFactory", settings.NonScopedSession)(), read_patience())
