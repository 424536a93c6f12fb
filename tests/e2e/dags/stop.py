"""Tasks that go on until somebody or something stops them."""

from __future__ import annotations

import subprocess
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, dag, task
from ledger import record


class Careful(BaseOperator):
    """Runs a program of its own and ends it when it is told to stop, as operators for other systems do."""

    template_fields = ("ledger",)

    def __init__(self, *, ledger: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger = ledger
        self.program: subprocess.Popen[bytes] | None = None

    def execute(self, context: Any) -> None:
        self.program = subprocess.Popen(["sleep", "600"])
        record(self.ledger, what="started", program=self.program.pid)
        self.program.wait()

    def on_kill(self) -> None:
        assert self.program is not None
        self.program.kill()
        record(self.ledger, what="on_kill", program=self.program.pid)


@dag(schedule=None, params={"ledger": ""})
def loop() -> None:
    @task
    def beat(params: Any = None, ti: Any = None) -> None:
        while True:
            record(params["ledger"], what=f"beat of try {ti.try_number}")
            time.sleep(0.1)

    beat()


@dag(schedule=None, params={"ledger": ""})
def careful() -> None:
    Careful(task_id="operate", ledger="{{ params.ledger }}")


@dag(schedule=None, params={"ledger": ""})
def too_long() -> None:
    @task(execution_timeout=timedelta(seconds=2), retries=1, retry_delay=timedelta(seconds=1))
    def beat(params: Any = None, ti: Any = None) -> None:
        while True:
            record(params["ledger"], what=f"beat of try {ti.try_number}")
            time.sleep(0.1)

    beat()


loop()
careful()
too_long()
