"""What surrounds the tasks at a site: environment variables, the host's name, and their processes' titles.

The variables have to be set before Airflow is imported, which reads them then.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

from airflow_edge.site import secrets

WORKER_NAME_VARIABLE: Final = "AIRFLOW_EDGE_WORKER_NAME"

_ALWAYS: Final = {
    # Else they are loaded when Airflow is imported, before the fork. A task loads them all the same.
    "AIRFLOW__CORE__LAZY_LOAD_PLUGINS": "True",
    "AIRFLOW__CORE__LAZY_DISCOVER_PROVIDERS": "True",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{__name__}.hostname",
    # A site has no database. This is one that cannot be opened, or made by accident.
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{os.devnull}/airflow-edge-has-no-database",
    # A log goes to the job's folder, and from there to the centre; for no other eyes on this machine.
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "False",
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
    # After a task's end the supervisor may sleep for as long as this (seconds, a whole number).
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # The agent answers heartbeats itself: a failed one says nothing about the centre's will.
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "1000000000",
}

_UNLESS_SET: Final = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # The centre has imported each file within its own limit; a site may be slower, and a file may wait for the centre.
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0",
    # A list of bundles may be the centre's own, with the names of its teams.
    "AIRFLOW__CORE__MULTI_TEAM": "True",
}

_OURS_AT_THE_CENTRE: Final = "airflow_edge."


def for_tasks(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment for the site's tasks, made from the agent's."""
    result = dict(environ)
    secrets.hide(result)
    for name, value in _UNLESS_SET.items():
        result.setdefault(name, value)
    result.update(_ALWAYS)
    logging_config = "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS"
    if result.get(logging_config, "").startswith(_OURS_AT_THE_CENTRE):
        result[logging_config] = ""
    home = Path(result.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    if not result.get("AIRFLOW_CONFIG") and not (home / "airflow.cfg").exists():
        # Airflow would write one, with freshly made secrets in it that open nothing and alarm people.
        result["AIRFLOW_CONFIG"] = os.devnull
    return result


def keep_log_folder_open(environment: MutableMapping[str, str]) -> None:
    """Have Airflow's folder for logs be one that is there for every user, unless this site has named one.

    Whoever loads Airflow makes it, and the task's log says where he may not, as another user than the worker's. Nothing
    of a task is written there.
    """
    if not secrets.option(environment, "logging", "base_log_folder"):
        environment["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = tempfile.gettempdir()


def hide_sensitive() -> None:
    """Have every option be empty that Airflow calls sensitive, from this process on; it has to be imported before.

    Those of its providers stay: of lineage, say, whose listeners run with the tasks.
    """
    from airflow.configuration import conf, retrieve_configuration_description

    own = retrieve_configuration_description(include_providers=False).keys() - secrets.FOR_TASKS
    sensitive = {(section, name) for section, name in conf.sensitive_config_values if section in own}
    secrets.hide(os.environ, sensitive - secrets.CENTRES)


def hostname() -> str:
    """Give the worker's name, so that the UI shows where a task ran in the words of the person who named the worker.

    `[core] hostname_callable` points here.
    """
    return os.environ.get(WORKER_NAME_VARIABLE) or socket.getfqdn()


def set_title(title: str) -> None:
    """Name this process in the list of processes, where that is possible. On macOS it is not safe after a fork."""
    if sys.platform != "darwin":
        with contextlib.suppress(ImportError):
            from setproctitle import setproctitle

            setproctitle(title)
