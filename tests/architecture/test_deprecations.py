"""Nothing of ours does what a supported Airflow, or this Python, has declared outdated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.environments import OTHER_AIRFLOWS, centre_of

LOAD_ALL = """
import importlib, pkgutil, warnings
import airflow_edge
warnings.filterwarnings("error", category=DeprecationWarning, module=r"airflow_edge\\b")
for module in pkgutil.walk_packages(airflow_edge.__path__, "airflow_edge."):
    if ".versions" not in module.name and not module.name.endswith((".env", ".__main__")):
        importlib.import_module(module.name)
"""
"""Migrations are loaded by Alembic, and programs run when they are loaded."""


@pytest.mark.parametrize("version", [None, *OTHER_AIRFLOWS])
def test_no_module_warns_of_what_it_uses(version: str | None, tmp_path: Path) -> None:
    python = centre_of(version) / "bin" / "python" if version else sys.executable
    result = subprocess.run(
        [python, "-c", LOAD_ALL],
        capture_output=True,
        text=True,
        timeout=300,
        env={"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
