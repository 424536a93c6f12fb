"""A site with plugins, policies and classes of its own, and Dags that name what only the centre has."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from airflow_edge.protocol.local import JobExited
from tests.integration.runtime.agent import AgentSide, RuntimeProcess
from tests.integration.runtime.conftest import site_environment

FURNITURE = Path(__file__).parent / "furniture"
BUNDLES = [
    {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {},
        "team_name": "press-shop",
    }
]


def _furnished(folder: Path) -> dict[str, str]:
    home = folder / "home" / "airflow"
    for name in ("plugins", "config"):
        shutil.copytree(FURNITURE / name, home / name)
    usual = site_environment(folder)
    return usual | {
        "PATH": f"{FURNITURE}{os.pathsep}{usual['PATH']}",
        "PYTHONPATH": f"{FURNITURE}{os.pathsep}{usual['PYTHONPATH']}",
        "LOGNAME": "me",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "log_config.LOGGING_CONFIG",
        "AIRFLOW__CORE__XCOM_BACKEND": "backend.Marked",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
    }


@pytest.fixture(scope="module")
def furnished_runtime(python, tmp_path_factory):
    with RuntimeProcess.start(tmp_path_factory.mktemp("furnished"), python, _furnished) as runtime:
        yield runtime


@pytest.fixture
def agent(furnished_runtime, api):
    side = AgentSide(furnished_runtime)
    api.run_id = side.run_id
    yield side
    side.close()


def test_what_is_the_sites_own_is_loaded_for_each_task_and_its_threads_and_locks_work(agent, api):
    jobs = [agent.task("look", api.path, dag="accepted") for _ in range(12)]
    for job in jobs:
        agent.connection.send(job.start)
    assert [agent.connection.expect(JobExited, job=job).exit_code for job in jobs] == [0] * 12
    seen = [call.body["marked"] for call in api.of("POST", "/return_value")]
    assert [(task["alive"], task["locked"], task["flushed"]) for task in seen] == [(True, True, ["look"])] * 12
    assert {task["owner"] for task in seen} == {"the policy"}

    loaded = [line.split() for line in (agent.runtime.folder / "loaded").read_text().splitlines()]
    assert {what for what, _ in loaded} == {"plugin", "backend", "settings", "logging"}
    assert str(agent.runtime.process.pid) not in {pid for _, pid in loaded}
    tasks = {str(task["pid"]) for task in seen}
    for what in ("plugin", "backend"):
        assert {pid for name, pid in loaded if name == what} >= tasks
    assert psutil.Process(agent.runtime.process.pid).num_threads() == 1


def test_a_new_version_of_a_plugin_is_in_the_next_task(agent, api):
    plugin = agent.runtime.folder / "home" / "airflow" / "plugins" / "lineage.py"
    old = plugin.read_text()
    plugin.write_text(old + "\nflushed.append('the new version')\n")
    agent.run(agent.task("look", api.path, dag="accepted"))
    plugin.write_text(old)
    (call,) = api.of("POST", "/return_value")
    assert call.body["marked"]["flushed"] == ["the new version", "look"]


def test_a_crash_ends_the_task(agent, api):
    api.should_retry = True
    assert agent.run(agent.task("crash", api.path, dag="accepted")).exit_code == 128 + signal.SIGSEGV


@pytest.mark.attack(11)
def test_the_interpreter_of_another_user_accepts_the_same_dags(agent, api):
    job = agent.task("as_user", api.path, dag="accepted")
    assert agent.run(job).exit_code == 0
    (call,) = api.of("POST", "/return_value")
    assert call.body == {"marked": "somebody"}, job.log


def test_a_thread_from_the_start_on_is_named(python, tmp_path):
    def environment(folder):
        (folder / "lib").mkdir()
        (folder / "lib" / "sitecustomize.py").write_text(
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(1000,), name='metrics', daemon=True).start()\n"
        )
        usual = site_environment(folder)
        return usual | {"PYTHONPATH": f"{folder / 'lib'}{os.pathsep}{usual['PYTHONPATH']}"}

    with RuntimeProcess.start(tmp_path, python, environment) as runtime:
        log = runtime.process.log.read_text()
        agent = AgentSide(runtime)
        threads, modules = agent.hello.warnings
        agent.close()
    assert "beginning anew with less" in log
    assert "'metrics' (" in threads
    assert "sitecustomize" in modules
    assert "'metrics' (" in _with("dead in each task", log)
    assert "sitecustomize" in _with("not Airflow's", log)


def _with(words: str, text: str) -> str:
    return "\n".join(line for line in text.splitlines() if words in line)
