"""Very many very short tasks."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task
from ledger import record


@dag(schedule=None, params={"ledger": "", "count": 0})
def fleet() -> None:
    @task
    def numbers(params: Any = None) -> list[int]:
        return list(range(params["count"]))

    @task
    def work(number: int, params: Any = None, ti: Any = None) -> None:
        record(params["ledger"], what="work", number=number, try_number=ti.try_number, host=ti.hostname)

    work.expand(number=numbers())


fleet()
