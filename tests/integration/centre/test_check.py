"""`airflow edge check`, from an empty database to a centre that serves workers."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import text

from harness import environments
from harness.airflow import BOOT_TIMEOUT, EDGE_CONFIG, EDGE_EXECUTOR, Airflow
from harness.database import SqliteFiles
from harness.processes import ProcessFailedError
from harness.waiting import wait_for


def centre(folder, database, **options) -> Airflow:
    return Airflow(folder, database, venv=environments.centre(), dags=folder, **options)


def wrong(airflow: Airflow) -> str:
    """What has to be changed, as `airflow edge check` says it."""
    with pytest.raises(ProcessFailedError) as failure:
        airflow.cli("edge", "check")
    return "\n".join(re.findall(r"^WRONG +(.*)$", str(failure.value), re.MULTILINE))


def test_a_centre_is_put_right_line_by_line(tmp_path):
    database = SqliteFiles(tmp_path).create("check")
    bare = centre(tmp_path / "bare", database, executor="LocalExecutor")
    said = wrong(bare)
    for advice in (
        "airflow db migrate",
        "api_enabled = True",
        "[core] executor = ",
        "airflow_edge.logs.LOGGING_CONFIG",
    ):
        assert advice in said
    assert said.count("\n") == 3
    secrets = (bare.jwt_secret, bare.fernet_key, bare.password)
    assert not any(secret in said for secret in secrets)

    with centre(tmp_path / "ready", database, executor=EDGE_EXECUTOR, config=EDGE_CONFIG) as ready:
        ready.migrate()
        ready.start_api_server()
        health = f"{ready.url}/edge_worker/v1/health"
        wait_for(
            lambda: httpx.get(health, trust_env=False, timeout=BOOT_TIMEOUT).is_success,
            "the gateway",
            timeout=BOOT_TIMEOUT,
        )
        said = ready.cli("edge", "check")
        assert f"OK     the API server at {ready.url} serves workers" in said
        assert "no worker is enrolled yet" in said
        with database.engine().begin() as connection:
            connection.execute(text("UPDATE alembic_version_airflow_edge SET version_num = 'another'"))
        assert "of another version of airflow-edge; install it, or run: airflow db migrate" in wrong(ready)
