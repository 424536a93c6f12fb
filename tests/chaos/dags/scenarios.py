"""One task at a time, at a site of one's choice, for as long as one likes."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from site_ledger import written_down


def make(queue: str) -> None:
    @dag(dag_id=f"work_at_{queue}", schedule=None, params={"seconds": 0.0, "lines": 0}, max_active_runs=100)
    def work() -> None:
        @task(queue=queue, retries=2, retry_delay=timedelta(seconds=1))
        def work(params: Any = None, ti: Any = None) -> str:
            with written_down(ti, params["lines"]):
                ends = time.monotonic() + params["seconds"]
                for line in range(params["lines"]):
                    print(f"chaos line {line} of {params['lines']}")
                    time.sleep(max(0.0, ends - time.monotonic()) / params["lines"])
                time.sleep(max(0.0, ends - time.monotonic()))
                return f"done at {queue}"

        work()

    work()


for queue in ("anywhere", "site-1", "site-2"):
    make(queue)
