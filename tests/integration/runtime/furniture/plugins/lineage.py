"""What lineage and telemetry clients do: a thread from the import on, a queue for it, a lock that it holds at times."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin
from note import loaded

loaded("plugin")
events: queue.Queue[str] = queue.Queue()
flushed: list[str] = []
lock = threading.Lock()


def flush_queue() -> None:
    while True:
        with lock:
            time.sleep(0.05)
        try:
            flushed.append(events.get(timeout=0.01))
            events.task_done()
        except queue.Empty:
            pass


thread = threading.Thread(target=flush_queue, name="flush", daemon=True)
thread.start()


class Lineage:
    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        events.put(task_instance.task_id)


class LineagePlugin(AirflowPlugin):
    name = "lineage"
    listeners = [Lineage()]  # noqa: RUF012
