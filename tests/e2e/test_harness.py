"""The harness itself, with nothing of ours in it: what fails here is not the product's fault."""

from __future__ import annotations

import shutil

import pytest

from harness.airflow import Airflow
from harness.processes import processes_in
from tests.e2e.world import DAGS

pytestmark = pytest.mark.e2e


def test_a_task_runs_with_the_local_executor_and_nothing_stays_behind(sqlite, tmp_path):
    home, dags = tmp_path / "centre", tmp_path / "dags"
    # Others name executors that this Airflow does not have.
    dags.mkdir()
    shutil.copy(DAGS / "hello.py", dags)
    with Airflow(home, sqlite.create("harness"), venv=sqlite.venv, dags=dags) as airflow:
        airflow.boot(triggerer=False)
        with airflow.client() as client:
            client.wait_for_dags(["hello"])
            run = client.wait_for_run(client.trigger("hello", conf={"name": "harness"}))
            assert run.state == "success"
            assert [task.state for task in client.tasks(run)] == ["success"]
            assert client.xcom(run, "greet") == "hello harness"
            assert any("hello harness from" in line for line in client.log(run, "greet"))
        assert processes_in(home)
    assert not processes_in(home)
