"""A task that defers to the triggerer at the centre and goes on at the worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, dag


class WaitAtTheCentre(BaseOperator):
    """Defers for a second."""

    def execute(self, context: Any) -> None:
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume", kwargs={"started": "here"})

    def resume(self, context: Any, event: Any, started: str) -> str:
        return f"started {started}, resumed with {type(event).__name__}"


@dag(schedule=None)
def deferrable() -> None:
    WaitAtTheCentre(task_id="wait")


deferrable()
