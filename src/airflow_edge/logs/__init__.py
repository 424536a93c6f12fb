"""Task logs as the workers sent them, read back by Airflow.

`[logging] logging_config_class = airflow_edge.logs.LOGGING_CONFIG` puts them into Airflow's pages and API. Airflow
imports this module in each of its processes and looks for the names below. Whatever is configured for remote logging
goes on working, for the logs of tasks that other executors run.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from airflow.config_templates import airflow_local_settings as stock

from airflow_edge.logs.task_log import EdgeTaskLog

_STOCK_HANDLER = "airflow.utils.log.file_task_handler.FileTaskHandler"


def _logging_config() -> dict[str, Any]:
    """Give Airflow's own, with our handler for task logs. One that another provider brings is left as it is."""
    config = deepcopy(stock.DEFAULT_LOGGING_CONFIG)
    task = config["handlers"]["task"]
    if task["class"] == _STOCK_HANDLER:
        task["class"] = "airflow_edge.logs.handler.EdgeTaskHandler"
    return config


LOGGING_CONFIG: Final = _logging_config()
"""Airflow's own, with lazy reading of logs from the edge."""

REMOTE_TASK_LOG: Final = EdgeTaskLog(stock.REMOTE_TASK_LOG)
"""What Airflow asks for a task's log before it looks anywhere else."""

DEFAULT_REMOTE_CONN_ID: Final = stock.DEFAULT_REMOTE_CONN_ID
"""The connection of Airflow's own remote log, if there is one."""
