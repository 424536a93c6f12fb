"""What runs at the presses: tasks that end when somebody opens a gate, so that there is something to see meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task


@dag(schedule=None, params={"gate": ""})
def press_check() -> None:
    @task(queue="plc")
    def temperature(params: Any = None) -> float:
        while params["gate"] and not Path(params["gate"]).exists():
            time.sleep(0.1)
        return 21.5

    temperature()


@dag(schedule=None)
def oven_check() -> None:
    @task(queue="ovens")
    def heat() -> float:
        return 200.0

    heat()


press_check()
oven_check()
