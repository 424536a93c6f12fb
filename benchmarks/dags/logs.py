"""The two Dags whose logs are measured: one that writes a line now and then, one that writes a great many."""

from __future__ import annotations

import random
import time
from typing import Any

from airflow.sdk import dag, task

# Longer than any peer waits before it looks at a log again: so the last line is not brought by the task's end.
PAUSE_AT_END = 8.0
AROUND_A_LINE = 90
"""Bytes, at least, that the Task SDK puts around what a task prints: timestamp, level and the like, as JSON."""


@dag(schedule=None, params={"lines": 30})
def steady_log() -> None:
    @task
    def write(params: Any = None) -> None:
        for number in range(params["lines"]):
            # Not in step with whatever looks at fixed intervals.
            time.sleep(random.uniform(1.0, 2.0))
            print(f"line {number} written at {time.time():.6f}", flush=True)
        time.sleep(PAUSE_AT_END)

    write()


@dag(schedule=None, params={"megabytes": 200})
def large_log() -> None:
    @task
    def write(params: Any = None) -> None:
        source = random.Random(1)
        missing, number = params["megabytes"] * 1_000_000, 0
        while missing > 0:
            number += 1
            line = (
                f"row {number}: order {source.randrange(10**12):012} of customer {source.randrange(10**8):08} weighs "
                f"{source.uniform(1, 1000):.3f} kg, press {source.randrange(40)}, accepted"
            )
            print(line)
            missing -= len(line) + AROUND_A_LINE

    write()


steady_log()
large_log()
