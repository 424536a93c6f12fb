"""Work for the worker behind a proxy."""

from __future__ import annotations

from airflow.sdk import dag, task

QUEUE = "behind-a-proxy"


@dag(schedule=None)
def proxied() -> None:
    @task(queue=QUEUE)
    def double(number: int) -> int:
        print(f"doubling {number}")
        return 2 * number

    @task(queue=QUEUE)
    def add(numbers: list[int]) -> int:
        return sum(numbers)

    add(double.expand(number=[1, 2, 3]))  # type: ignore[arg-type]


proxied()
