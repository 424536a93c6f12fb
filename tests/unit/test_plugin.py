from __future__ import annotations

import os
import subprocess
import sys

import pytest

from airflow_edge.plugin import EdgePlugin


@pytest.fixture
def run(tmp_path):
    """Run some Python in a process of its own, as Airflow's would import us."""

    def run(code):
        env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        env["AIRFLOW_HOME"] = str(tmp_path)
        subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=env)

    return run


def test_nothing_is_built_where_nobody_asks_for_it(run):
    run(
        "import sys, airflow_edge.plugin as plugin\n"
        "plugin.EdgePlugin()\n"
        "heavy = {'airflow_edge.gateway', 'airflow_edge.store', 'airflow_edge.rules', 'fastapi', 'asyncpg'}\n"
        "assert not heavy & set(sys.modules)\n"
    )


def test_the_log_configuration_connects_to_nothing_when_it_is_imported(run):
    run(
        "import sys, airflow_edge.logs as logs\n"
        "assert isinstance(logs.LOGGING_CONFIG, dict) and hasattr(logs.REMOTE_TASK_LOG, 'stream')\n"
        "assert 'airflow_edge.store' not in sys.modules\n"
    )


def test_beside_the_provider_that_it_replaces_it_mounts_nothing(monkeypatch, caplog):
    monkeypatch.setattr("airflow_edge.executor.edge3.edge3_is_installed", lambda: True)
    assert EdgePlugin().fastapi_apps == []
    assert "pip uninstall" in caplog.text
