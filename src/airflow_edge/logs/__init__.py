"""Task logs as the workers sent them, read back by Airflow.

`[logging] logging_config_class = airflow_edge.logs.LOGGING_CONFIG` puts them into Airflow's pages and API. Airflow
imports this module in each of its processes and looks for the names below. Whatever is configured for remote logging
goes on working, for the logs of tasks that other executors run.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from airflow.config_templates import airflow_local_settings as stock

from airflow_edge.logs.task_log import EdgeTaskLog

LOGGING_CONFIG: Final = deepcopy(stock.DEFAULT_LOGGING_CONFIG)
"""Airflow's own."""

REMOTE_TASK_LOG: Final = EdgeTaskLog(stock.REMOTE_TASK_LOG)
"""What Airflow asks for a task's log before it looks anywhere else."""

DEFAULT_REMOTE_CONN_ID: Final = stock.DEFAULT_REMOTE_CONN_ID
"""The connection of Airflow's own remote log, if there is one."""
