"""A Dag that a centre accepts which knows more than the site: executors, a pool, a trigger with the task's end."""

from __future__ import annotations

import os
import sys

from airflow.sdk import DAG, BaseOperator, task


class EndsAtTheTrigger(BaseOperator):
    """Never runs here."""

    end_from_trigger = True


with DAG("accepted", schedule=None, default_args={"owner": "nobody"}):

    @task(executor="EdgeExecutor", pool="unheard-of", weight_rule="upstream")
    def look(task=None):
        lineage = sys.modules["lineage"]
        lineage.events.join()
        return {
            "flushed": lineage.flushed,
            "alive": lineage.thread.is_alive(),
            "locked": lineage.lock.acquire(timeout=30),
            "owner": task.owner,
            "pid": os.getpid(),
        }

    @task(executor="centre.executors.Unheard")
    def crash():
        import ctypes

        ctypes.string_at(0)

    @task(executor="Alias", run_as_user="somebody")
    def as_user():
        return os.environ["LOGNAME"]

    look()
    crash()
    as_user()
    EndsAtTheTrigger(task_id="ends_at_the_trigger", executor="CeleryExecutor")
