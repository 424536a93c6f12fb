"""One task: where its code begins, the journey of its job is over."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(dag_id="journey", schedule=None)
def journey() -> None:
    @task
    def arrive() -> str:
        return "here"

    arrive()


journey()
