"""The two Dags that are measured: one task alone, and forty that are ready at once."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(schedule=None)
def single() -> None:
    @task
    def work() -> int:
        return 1

    work()


@dag(schedule=None)
def fan_out() -> None:
    @task
    def work(item: int) -> int:
        return item

    work.expand(item=list(range(40)))


single()
fan_out()
