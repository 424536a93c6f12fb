"""A tour of a dozen tasks for the worker at the site: Bash, Python, branches, mapping, XComs, a retry."""

from __future__ import annotations

import os
import platform
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, get_current_context, task

QUEUE = "site"


@dag(dag_id="edge_tour", schedule=None, catchup=False, tags=["demo"], default_args={"queue": QUEUE})
def edge_tour() -> None:
    @task
    def where_am_i() -> str:
        home = os.environ["HOME"]
        print(f"tour: running on {platform.node()}, process {os.getpid()}, home folder {home}")
        return home

    @task
    def measurements() -> list[int]:
        print("tour: reading four sensors")
        return [21, 19, 23, 22]

    @task
    def calibrate(value: int) -> float:
        print(f"tour: calibrated {value} to {value * 0.97:.2f}")
        return value * 0.97

    @task
    def report(values: Any) -> str:
        numbers = list(values)
        mean = sum(numbers) / len(numbers)
        print(f"tour: mean of {len(numbers)} sensors: {mean:.2f}")
        return "warm" if mean > 20 else "cold"

    @task.branch
    def decide(verdict: Any) -> str:
        print(f"tour: it is {verdict}")
        return f"when_{verdict}"

    @task(retries=1, retry_delay=0)
    def flaky() -> None:
        attempt = get_current_context()["ti"].try_number
        print(f"tour: attempt {attempt}")
        if attempt == 1:
            raise RuntimeError("the first attempt fails on purpose")

    kernel = BashOperator(task_id="kernel", bash_command="echo tour: kernel $(uname -r)")
    warm = BashOperator(task_id="when_warm", bash_command="echo tour: opening the window")
    cold = BashOperator(task_id="when_cold", bash_command="echo tour: closing the window")
    templated = BashOperator(task_id="templated", bash_command="echo tour: run {{ run_id }} of {{ dag.dag_id }}")

    verdict = report(calibrate.expand(value=measurements()))
    decision = decide(verdict)
    decision >> [warm, cold]
    where_am_i() >> [kernel, templated, flaky()]


edge_tour()
