"""What Airflow takes for the host's name at a site: `[core] hostname_callable` points here."""

from __future__ import annotations

import os
import socket
from typing import Final

WORKER_NAME_VARIABLE: Final = "AIRFLOW_EDGE_WORKER_NAME"


def get() -> str:
    """Give the worker's name, so that the UI shows where a task ran in the words of the person who named the worker."""
    return os.environ.get(WORKER_NAME_VARIABLE) or socket.getfqdn()
