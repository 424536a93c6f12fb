"""The smallest Dag: one task that says who ran it."""

from __future__ import annotations

import socket
from typing import Any

from airflow.sdk import dag, task


@dag(schedule=None, params={"name": "world"})
def hello() -> None:
    @task
    def greet(params: Any = None) -> str:
        greeting = f"hello {params['name']}"
        print(f"{greeting} from {socket.gethostname()}")
        return greeting

    greet()


hello()
