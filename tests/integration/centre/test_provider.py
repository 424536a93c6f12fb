from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_edge.executor.edge3 import EDGE3, edge3_is_installed
from airflow_edge.provider import get_provider_info
from airflow_edge.settings import SETTINGS
from harness import environments

SOURCE = Path(__file__).parents[3] / "src"
BACKPORTS = [
    Path(place) for spec in [find_spec("backports")] if spec for place in spec.submodule_search_locations or ()
]


def airflow(*words: str, venv: Path, home: Path, python_path: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [venv / "bin" / "airflow", *words],
        env={
            "PATH": os.defpath,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(home),
            "COLUMNS": "500",
            "PYTHONPATH": python_path,
            "AIRFLOW__CORE__EXECUTOR": "airflow_edge.executor.EdgeExecutor",
            **env,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_airflow_knows_every_setting_and_its_default(tmp_path: Path) -> None:
    script = (
        "import json, sys; from airflow.configuration import conf;"
        "print(json.dumps({name: conf.get('edge', name, fallback=None) for name in sys.argv[1:]}))"
    )
    known = subprocess.check_output(
        [environments.centre() / "bin" / "python", "-c", script, *(setting.name for setting in SETTINGS)],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path)},
        text=True,
    )
    assert json.loads(known.splitlines()[-1]) == {setting.name: setting.default_text for setting in SETTINGS}
    listed = airflow("config", "list", "--section", "edge", "--defaults", venv=environments.centre(), home=tmp_path)
    assert all(setting.description[:40] in listed.stdout for setting in SETTINGS)


def test_the_commands_are_there_and_nothing_is_said_about_edge3(tmp_path: Path) -> None:
    result = airflow("edge", "--help", venv=environments.centre(), home=tmp_path)
    assert result.returncode == 0
    assert all(word in result.stdout for word in ("enroll-token", "list-workers", "revoke-worker", "worker", "stop"))
    assert EDGE3 not in result.stdout + result.stderr
    assert not edge3_is_installed()
    assert get_provider_info()["package-name"] == distribution("airflow-edge").name


def test_reading_the_provider_imports_nothing_heavy() -> None:
    script = (
        "import sys; from airflow_edge.provider import get_provider_info; get_provider_info();"
        "print(sorted({'airflow', 'sqlalchemy', 'fastapi', 'msgspec'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


@pytest.fixture
def both(tmp_path: Path) -> str:
    """A PYTHONPATH that adds this distribution, and nothing else, to edge3's environment."""
    files = distribution("airflow-edge").files
    assert files is not None
    (metadata,) = {Path(str(file.locate())).parent for file in files if file.name == "METADATA"}
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / metadata.name).symlink_to(metadata, target_is_directory=True)
    backports = find_spec("backports")
    dependencies = [] if backports is None else backports.submodule_search_locations or []
    for package in (SOURCE / "airflow_edge", *map(Path, dependencies)):
        (folder / package.name).symlink_to(package, target_is_directory=True)
    return str(folder)


def test_beside_edge3_every_command_works_and_says_once_what_to_uninstall(tmp_path: Path, both: str) -> None:
    venv = environments.edge3()
    result = airflow("edge", "--help", venv=venv, home=tmp_path, python_path=both)
    assert result.returncode == 0, result.stderr
    assert "maintenance" in result.stdout
    assert (result.stdout + result.stderr).count(f"pip uninstall {EDGE3}") == 1
    listed = airflow("providers", "list", "-o", "json", venv=venv, home=tmp_path, python_path=both)
    assert listed.returncode == 0, listed.stderr
    names = {provider["package_name"] for provider in json.loads(listed.stdout[listed.stdout.index("[{") :])}
    assert names >= {"airflow-edge", EDGE3}


def test_beside_edge3_the_executor_does_not_start(tmp_path: Path, both: str) -> None:
    script = "from airflow_edge.executor import EdgeExecutor; EdgeExecutor().start()"
    result = subprocess.run(
        [environments.edge3() / "bin" / "python", "-c", script],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": both},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
    assert f"RuntimeError: airflow-edge takes the place of {EDGE3}" in result.stderr
