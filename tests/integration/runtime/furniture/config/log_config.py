"""A logging configuration."""

from __future__ import annotations

from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG
from note import loaded

loaded("logging")
LOGGING_CONFIG = DEFAULT_LOGGING_CONFIG
REMOTE_TASK_LOG = None
