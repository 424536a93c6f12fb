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
        "ours = {f'airflow_edge.{name}' for name in ('gateway', 'page', 'store', 'rules')}\n"
        "assert not (ours | {'fastapi', 'asyncpg'}) & set(sys.modules)\n"
    )


def test_the_log_configuration_connects_to_nothing_when_it_is_imported(run):
    run(
        "import sys, airflow_edge.logs as logs\n"
        "assert isinstance(logs.LOGGING_CONFIG, dict) and hasattr(logs.REMOTE_TASK_LOG, 'stream')\n"
        "assert 'airflow_edge.store' not in sys.modules\n"
    )


def test_beside_the_provider_that_it_replaces_it_mounts_nothing(monkeypatch, caplog):
    monkeypatch.setattr("airflow_edge.executor.edge3.edge3_is_installed", lambda: True)
    assert (EdgePlugin().fastapi_apps, EdgePlugin().react_apps) == ([], [])
    assert "pip uninstall" in caplog.text


def test_the_page_comes_before_the_gateway_which_answers_whatever_is_below_its_own_prefix():
    prefixes = [app["url_prefix"] for app in EdgePlugin().fastapi_apps]
    assert prefixes[-1] == "/edge_worker"
    assert "/edge_worker/page" in prefixes


def test_the_page_and_the_panel_load_a_file_that_is_served():
    from starlette.testclient import TestClient

    plugin = EdgePlugin()
    (served,) = (app for app in plugin.fastapi_apps if app["url_prefix"] == "/edge_worker/page")
    client = TestClient(served["app"])
    urls = {app["bundle_url"] for app in plugin.react_apps}
    assert len(urls) == 1
    assert client.get(urls.pop().partition(served["url_prefix"])[2]).is_success


def test_where_the_page_was_not_built_all_else_is_there_and_a_warning_says_what_to_do(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr("airflow_edge.page.bundle.read_bundle.__defaults__", (tmp_path,))
    plugin = EdgePlugin()
    assert plugin.react_apps == []
    assert [app["url_prefix"] for app in plugin.fastapi_apps] == ["/edge_worker/api", "/edge_worker"]
    assert caplog.text.count("hatch_build.py") == 1
