"""A task that asks for what a site keeps itself, and for what only the centre has."""

from __future__ import annotations

import json
import os
from pathlib import Path

from airflow.sdk import DAG, Connection, Variable, task


def said(ask):
    """What it is, or which error there is instead."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - it is what the test looks at
        return f"{type(error).__name__}: {error}"


for dag_id in ("site_secrets_sample", "another_sample"):
    with DAG(dag_id, schedule=None):

        @task
        def read(run_id=None):
            found = {
                "site": said(lambda: Connection.get("plc_db").get_uri()),
                "site variable": said(lambda: Variable.get("site_name")),
                "centre": said(lambda: Connection.get("centre_db").get_uri()),
                "written": said(lambda: Variable.set("site_name", "Hall 8")),
            }
            Path(os.environ["SAMPLE_FOLDER"], run_id, "found.json").write_text(json.dumps(found))

        read()
