from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.integration.runtime.agent import AgentSide, RuntimeProcess
from tests.integration.runtime.execution_api import ExecutionApi

REPOSITORY = Path(__file__).parents[3]
OLDEST_AIRFLOW = REPOSITORY / ".build" / "airflow-3.2" / "bin" / "python"


@pytest.fixture(scope="package", params=["this Airflow", "oldest Airflow"])
def python(request):
    """An interpreter with an Airflow: the one we run on, and the oldest that is supported."""
    if request.param == "this Airflow":
        return Path(sys.executable)
    if not OLDEST_AIRFLOW.exists():
        pytest.skip(f"{OLDEST_AIRFLOW} is not there: make env-airflow-3.2")
    return OLDEST_AIRFLOW


@pytest.fixture
def api(tmp_path):
    """What the agent serves to the tasks."""
    server = ExecutionApi(tmp_path / "agent.sock")
    yield server
    server.close()


def site_environment(folder: Path) -> dict[str, str]:
    """The environment of a runtime that was given what is none of its business."""
    dags = Path(__file__).parent / "dags"
    return {
        "PATH": os.defpath,
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__API_AUTH__JWT_SECRET": "the secret of the centre",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://user:password@centre/airflow",
        # Whatever Airflow calls sensitive, though only the last is known to us by its name.
        "AIRFLOW__LOGGING__REMOTE_TASK_HANDLER_KWARGS": '{"password": "the secret of the centre"}',
        "AIRFLOW__CORE__FERNET_KEY": "the secret of the centre",
        "AIRFLOW__CELERY__BROKER_URL": "redis://:password@centre/0",
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": '{"variables_file_path": "/srv/variables.json"}',
        "PYTHONPATH": str(dags),
        "SAMPLE_FOLDER": str(folder),
    }


@pytest.fixture(scope="package")
def warm_runtime(python, tmp_path_factory):
    """A runtime for all tests that leave it as they found it: to warm one up takes seconds."""
    with RuntimeProcess.start(tmp_path_factory.mktemp("site"), python, site_environment) as runtime:
        yield runtime


@pytest.fixture
def agent(warm_runtime, api):
    """An agent that has just connected to the runtime; its jobs are ended after the test."""
    side = AgentSide(warm_runtime)
    api.run_id = side.run_id
    yield side
    side.close()


@pytest.fixture
def last_agent(tmp_path, python, api):
    """An agent with a runtime of its own, to do with it as it likes."""
    with RuntimeProcess.start(tmp_path / "site", python, site_environment) as runtime:
        side = AgentSide(runtime)
        api.run_id = side.run_id
        yield side
        side.close()
