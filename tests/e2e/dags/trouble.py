"""Tasks that fail: retried after an error and after a sudden death, failed for good; and what is called at an end."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from ledger import record

AGAIN_SOON = {"retry_delay": timedelta(seconds=1)}


def record_failure(context: Any) -> None:
    record(context["params"]["ledger"], what="failed", task_id=context["ti"].task_id, error=str(context["exception"]))


def record_success_slowly(context: Any) -> None:
    time.sleep(3)
    record(context["params"]["ledger"], what="succeeded", task_id=context["ti"].task_id)


def record_retry(context: Any) -> None:
    record(context["params"]["ledger"], what="retry", task_id=context["ti"].task_id)


@dag(schedule=None, default_args=AGAIN_SOON)
def retries() -> None:
    @task(retries=2)
    def second_try(ti: Any = None) -> int:
        if ti.try_number == 1:
            raise RuntimeError("the first try fails")
        return int(ti.try_number)

    @task(retries=1)
    def killed_once(ti: Any = None) -> int:
        if ti.try_number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return int(ti.try_number)

    second_try()
    killed_once()


@dag(schedule=None, params={"ledger": ""}, default_args=AGAIN_SOON)
def callbacks() -> None:
    @task(retries=1, on_retry_callback=record_retry, on_failure_callback=record_failure)
    def never() -> None:
        raise RuntimeError("out of order")

    @task(on_success_callback=record_success_slowly)
    def at_once() -> None: ...

    never()
    at_once()


@dag(
    schedule=None,
    params={"ledger": ""},
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=0.5),
        callback=SyncCallback("ledger.record_missed_deadline", kwargs={"what": "deadline missed"}),
    ),
)
def deadline() -> None:
    @task
    def late() -> None:
        time.sleep(3)

    late()


retries()
callbacks()
deadline()
