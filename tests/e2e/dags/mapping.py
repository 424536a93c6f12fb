"""Dynamic task mapping over forty items that are known only at run time."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task


@dag(schedule=None)
def mapping() -> None:
    @task
    def numbers() -> list[int]:
        return list(range(40))

    @task
    def square(n: int) -> int:
        return n * n

    @task
    def total(squares: Any) -> int:
        return sum(squares)

    total(square.expand(n=numbers()))


mapping()
