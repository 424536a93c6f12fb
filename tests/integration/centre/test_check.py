"""`airflow edge check`, from an empty database to a centre that serves workers."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import text

from harness import environments
from harness.airflow import BOOT_TIMEOUT, EDGE_CONFIG, EDGE_EXECUTOR, STOP_TIMEOUT, Airflow, MigratedDatabases
from harness.database import SqliteFiles
from harness.processes import ProcessFailedError
from harness.waiting import wait_for


def centre(folder, database, **options) -> Airflow:
    return Airflow(folder, database, venv=environments.centre(), dags=folder, **options)


def wrong(airflow: Airflow, *options: str) -> str:
    """What has to be changed, as `airflow edge check` says it."""
    with pytest.raises(ProcessFailedError) as failure:
        airflow.cli("edge", "check", *options)
    return "\n".join(re.findall(r"^WRONG +(.*)$", str(failure.value), re.MULTILINE))


def test_a_centre_is_put_right_line_by_line(tmp_path):
    database = SqliteFiles(tmp_path).create("check")
    bare = centre(tmp_path / "bare", database, executor="LocalExecutor")
    said = wrong(bare)
    for advice in (
        "airflow db migrate",
        "api_enabled = True",
        "[core] executor = ",
    ):
        assert advice in said
    assert said.count("\n") == 2
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
        whole = f"browsers get the operator's page whole: {ready.url}/edge_worker/page/edge-"
        assert f"OK     {whole}" in said
        with ready.client() as client:
            # Of the process itself, which has but one event loop to answer with.
            found = client.get("/edge_worker/api/check")["findings"]
        assert [one["status"] for one in found if one["name"] == "page" and whole in one["text"]] == ["ok"]
        assert "no worker is enrolled yet" in said
        assert "no scheduler is running" in said
        databases = MigratedDatabases(SqliteFiles(tmp_path), tmp_path, venv=environments.centre())
        other = centre(tmp_path / "other", databases.create("other"), executor=EDGE_EXECUTOR, config=EDGE_CONFIG)
        assert f"the API server at {ready.url} is another Airflow's" in wrong(other, "--api-url", ready.url)
        with database.engine().begin() as connection:
            connection.execute(text("UPDATE alembic_version_airflow_edge SET version_num = 'another'"))
        assert "of another version of airflow-edge; install it, or run: airflow db migrate" in wrong(ready)


def test_what_runs_is_looked_at_and_not_only_what_is_set(tmp_path):
    database = MigratedDatabases(SqliteFiles(tmp_path), tmp_path, venv=environments.centre()).create("runs")
    local = centre(tmp_path / "local", database, executor="LocalExecutor", config=EDGE_CONFIG)
    edge = centre(tmp_path / "edge", database, executor=EDGE_EXECUTOR, config=EDGE_CONFIG)
    with local, edge:
        started = local.start_scheduler()
        assert "no running scheduler has loaded EdgeExecutor" in wrong(edge)
        started.stop(timeout=STOP_TIMEOUT)
        edge.start_scheduler()
        wait_for(
            lambda: database.value("SELECT count(*) FROM airflow_edge_process") == 1, "its mark", timeout=BOOT_TIMEOUT
        )
        assert "has loaded EdgeExecutor" in edge.cli("edge", "check")


@pytest.mark.parametrize("version", [None, *environments.OTHER_AIRFLOWS])
def test_airflow_standalone_keeps_the_executor(tmp_path, version):
    venv = environments.centre_of(version) if version else environments.centre()
    database = SqliteFiles(tmp_path).create("standalone")
    airflow = Airflow(tmp_path / "a", database, venv=venv, dags=tmp_path, executor=EDGE_EXECUTOR, config=EDGE_CONFIG)
    script = (
        "from airflow.cli.commands.standalone_command import StandaloneCommand;"
        "print('\\n' + StandaloneCommand().calculate_env()['AIRFLOW__CORE__EXECUTOR'])"
    )
    assert airflow.python(script).splitlines()[-1] == EDGE_EXECUTOR
