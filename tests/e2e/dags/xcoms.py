"""XComs: by return value, by key, several at once, and one of five megabytes."""

from __future__ import annotations

import hashlib
from typing import Any

from airflow.sdk import dag, task

FIVE_MEGABYTES = 5 * 1000 * 1000


@dag(schedule=None)
def xcoms() -> None:
    @task
    def push(ti: Any = None) -> dict[str, Any]:
        ti.xcom_push(key="by_key", value=["a", 1, None])
        return {"nested": {"pi": 3.14}}

    @task(multiple_outputs=True)
    def several() -> dict[str, int]:
        return {"one": 1, "two": 2}

    @task
    def pull(nested: Any, ti: Any = None) -> list[Any]:
        pi = nested["nested"]["pi"]
        return [pi, ti.xcom_pull(task_ids="several", key="two"), ti.xcom_pull(task_ids="push", key="by_key")]

    @task
    def large() -> str:
        return "0123456789" * (FIVE_MEGABYTES // 10)

    @task
    def digest(text: Any) -> str:
        return f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()}"

    several() >> pull(push())
    digest(large())


xcoms()
