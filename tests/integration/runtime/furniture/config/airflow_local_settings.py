"""A policy, and a thread."""

from __future__ import annotations

import threading
import time
from typing import Any

from note import loaded

loaded("settings")
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()


def task_policy(task: Any) -> None:
    task.owner = "the policy"
