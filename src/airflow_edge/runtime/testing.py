"""What a test job does at the site: it loads what each task needs, and says where it has landed."""

from __future__ import annotations

import getpass
import logging
import os
import platform
import signal
import socket
from collections.abc import Callable
from importlib.metadata import version

from airflow_edge.runtime.user_code import use_xcom_backend

LONGEST = 120
"""Seconds after which it is ended: what it hangs in, a task would hang in as well."""

log = logging.getLogger("airflow_edge.test_job")


def run(say: Callable[[str], object] = log.info) -> None:
    """Run a test job, in a process like a task's.

    :param say: writes a line of the job's log
    :raises Exception: something is not there that a task needs.
    """
    signal.alarm(LONGEST)
    say(f"The test job runs on host '{socket.gethostname()}' as user '{_user()}', in process {os.getpid()}")
    say(f"Python {platform.python_version()} on {platform.platform()}")
    airflow, sdk, own = (version(name) for name in ("apache-airflow-core", "apache-airflow-task-sdk", "airflow-edge"))
    say(f"Airflow {airflow} with Task SDK {sdk}, airflow-edge {own}")
    use_xcom_backend()
    say("What each task loads first is loaded: tasks can run here")


def _user() -> str:
    try:
        return getpass.getuser()
    # A container's user need not have a name.
    except (KeyError, OSError):
        return str(os.getuid())
