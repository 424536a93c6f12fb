"""What tasks of a third user do, by `run_as_user`."""

from __future__ import annotations

import os

from airflow.sdk import DAG, task
from sample import Patient, leave_children, try_attacks  # type: ignore[import-not-found]


class PatientWithChildren(Patient):
    """Has started some by then."""

    def execute(self, context):
        leave_children(context["run_id"])
        super().execute(context)


with DAG("as_another", schedule=None, default_args={"run_as_user": os.environ.get("RUN_AS")}):

    @task
    def attack(into):
        print("I am another")
        leave_children(into)
        return try_attacks(into)

    attack("{{ run_id }}")
    PatientWithChildren(task_id="patient")
