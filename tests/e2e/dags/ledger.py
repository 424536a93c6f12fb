"""How a task tells a test what it did, past Airflow: one JSON line appended to a file."""

from __future__ import annotations

import json
import os
import time
from typing import Any


def record(path: str, **entry: object) -> None:
    """Append one entry with the time and the process it comes from."""
    with open(path, "a", encoding="utf-8") as ledger:  # noqa: PTH123
        ledger.write(json.dumps({"time": time.time(), "pid": os.getpid(), **entry}) + "\n")


def record_missed_deadline(context: Any, what: str) -> None:
    """The callback of a deadline alert: Airflow imports it by path, at the worker."""
    record(context["dag_run"]["conf"]["ledger"], what=what, run_id=context["dag_run"]["dag_run_id"])
