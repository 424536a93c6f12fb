from __future__ import annotations

import os
from pathlib import Path

from airflow_edge.agent.supervisors.runtime import generation


def test_it_changes_with_whatever_a_runtime_reads_once(tmp_path: Path) -> None:
    packages = tmp_path / "site-packages"
    (packages / "airflow_edge-1.0.dist-info").mkdir(parents=True)
    environ = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__DAGS_FOLDER": "/srv/dags", "INVOCATION_ID": "1"}

    def now(**changes: str) -> str:
        return generation(environ | changes, [str(packages), str(tmp_path / "missing")])

    seen = {now()}
    assert now() in seen
    # What differs from one start to the next, and means nothing to a task.
    assert now(INVOCATION_ID="2", AIRFLOW_EDGE_GENERATION="x") in seen

    seen |= {now(AIRFLOW__CORE__DAGS_FOLDER="/srv/other"), now(PYTHONPATH="/srv/lib")}
    (packages / "airflow_edge-1.0.dist-info").rename(packages / "airflow_edge-1.1.dist-info")
    seen.add(now())
    (packages / "apache_airflow_providers_http-5.0.dist-info").mkdir()
    seen.add(now())
    (tmp_path / "airflow.cfg").write_text("[core]\n")
    seen.add(now())
    os.utime(tmp_path / "airflow.cfg", (1, 1))
    seen.add(now())
    assert len(seen) == 7


def test_a_value_that_is_no_text_is_no_obstacle() -> None:
    assert generation({"AIRFLOW__CORE__DAGS_FOLDER": os.fsdecode(b"/srv/\xff")}, [])
