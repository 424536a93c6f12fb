"""Tasks that name their executor in each of the ways there are, beside one of another executor: no site knows any."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

NAMES = {
    "by_class": "EdgeExecutor",
    "by_alias": "Site",
    "by_path": "airflow_edge.executor.EdgeExecutor",
    "by_none": None,
}


@dag(schedule=None)
def executors() -> None:
    for task_id, executor in NAMES.items():

        @task(task_id=task_id, executor=executor)
        def where(ti: Any = None) -> str:
            return str(ti.hostname)

        where()

    @task(executor="Near")
    def near(ti: Any = None) -> str:
        return str(ti.hostname)

    near()


@dag(schedule=None)
def press_check() -> None:
    """The tutorial's, where there are several executors."""

    @task(queue="plc", executor="EdgeExecutor")
    def temperature() -> float:
        print("reading the sensor")
        return 21.5

    temperature()


executors()
press_check()
