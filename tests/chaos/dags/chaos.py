"""What the sites are busy with while everything around them breaks: many short tasks, mapped, with XComs and output."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from site_ledger import written_down

# Only a death on purpose may cost a try, but there are many of those.
TRIED_AGAIN = {"retries": 20, "retry_delay": timedelta(seconds=1)}


@dag(
    schedule=None,
    params={"tasks": 20, "seed": 0, "longest": 6.0},
    default_args=TRIED_AGAIN,
    max_active_runs=100,
    max_active_tasks=1000,
)
def chaos() -> None:
    @task
    def plan(params: Any = None, ti: Any = None) -> list[dict[str, Any]]:
        with written_down(ti):
            dice = random.Random(params["seed"])
            # Mostly short ones; the square makes a few that outlive an outage.
            return [
                {
                    "number": number,
                    "seconds": params["longest"] * dice.random() ** 2,
                    "lines": dice.choice([0, 0, 3, 30, 300]),
                }
                for number in range(params["tasks"])
            ]

    @task
    def work(item: Any, ti: Any = None) -> int:
        with written_down(ti, item["lines"]):
            for line in range(item["lines"]):
                print(f"chaos line {line} of {item['lines']}")
            time.sleep(item["seconds"])
            return int(item["number"])

    @task
    def total(numbers: Any, params: Any = None, ti: Any = None) -> None:
        with written_down(ti):
            numbers = sorted(numbers)
            if numbers != list(range(params["tasks"])):
                raise RuntimeError(f"these XComs have come: {numbers}")

    total(work.expand(item=plan()))


chaos()
