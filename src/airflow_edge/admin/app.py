"""The REST API on Airflow's own configuration and database."""

from __future__ import annotations

from typing import cast

from airflow import settings
from airflow.configuration import conf
from fastapi import FastAPI

from airflow_edge.admin.api import create_api
from airflow_edge.dispatch.liveness import Patience, patience, read_graces
from airflow_edge.settings import SECTION
from airflow_edge.store.transactions import SessionFactory


def create_app() -> FastAPI:
    """Build the API that Airflow's API server mounts; nothing is connected to before it is called."""
    return create_api(lambda: cast("SessionFactory", settings.NonScopedSession)(), read_patience())


def read_patience() -> Patience:
    """Read from Airflow's configuration how long workers out of reach are waited for.

    :raises ValueError: a setting makes no sense; the message names it.
    """
    grace, queues = read_graces(lambda name: conf.get_mandatory_value(SECTION, name))
    interval = conf.getfloat(SECTION, "heartbeat_interval")
    return patience(heartbeat_interval=interval, disconnect_grace=grace, queue_disconnect_grace=queues)
