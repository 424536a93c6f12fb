"""Who may import whom: the contracts in pyproject.toml, and what a started process really loads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

KEPT_OUT = ("airflow", "sqlalchemy", "fastapi")

THIRD_PARTY = {
    # zstd is in the standard library from Python 3.14 on (`compression`); before, `backports.zstd` is the same code.
    "protocol": {"backports", "compression", "msgspec"},
    "rules": {"msgspec", "packaging"},
    # What the wheel installs without an extra; a package that only comes along with one of these may vanish.
    "agent": {"backports", "compression", "h11", "httpcore", "msgspec", "nacl", "psutil", "websockets"},
}

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    loaded = sorted(set(sys.argv[1].split(",")) & set(sys.modules))
    if loaded:
        sys.exit(f"importing {name} loaded {', '.join(loaded)}")
"""


def lint_imports(source: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--no-logo", "--config", ROOT / "pyproject.toml"],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def modules_of(package: str) -> list[str]:
    files = sorted((SOURCE / "airflow_edge" / package).rglob("*.py"))
    dotted = (".".join(file.relative_to(SOURCE).with_suffix("").parts) for file in files if file.stem != "__main__")
    return [name.removesuffix(".__init__") for name in dotted]


def test_the_contracts_hold() -> None:
    result = lint_imports(SOURCE)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("protocol", "airflow_edge.rules"),
        ("rules", "airflow_edge.cli"),
        ("protocol", "sqlalchemy"),
        ("rules", "airflow_edge.store"),
        ("rules", "airflow"),
        ("store", "airflow_edge.executor"),
        ("store", "airflow"),
        ("executor", "airflow_edge.gateway"),
        ("gateway", "airflow_edge.agent"),
        ("logs", "airflow_edge.cli"),
        ("agent", "airflow_edge.rules"),
        ("agent", "airflow_edge.runtime"),
        ("agent", "fastapi"),
        ("runtime", "airflow_edge.store"),
        ("agent/core", "airflow_edge.agent.journal"),
        ("agent/journal", "airflow_edge.agent.link"),
        ("agent/link", "airflow_edge.agent.task_api"),
        ("agent/net", "airflow_edge.agent.profile"),
        ("agent/task_logs", "airflow_edge.agent.own_log"),
        ("gateway/database", "airflow_edge.gateway.links"),
        ("gateway/links", "airflow_edge.gateway.access"),
        ("gateway/links", "airflow_edge.gateway.loops"),
        ("gateway/loops", "airflow_edge.gateway.gateway"),
        ("store/logs", "airflow_edge.store.jobs"),
        ("store/logs", "airflow_edge.store.workers"),
        ("store/workers", "airflow_edge.store.jobs"),
    ],
)
def test_a_broken_rule_is_noticed(module: str, imported: str, tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "airflow_edge" / module / "offender.py").write_text(f"import {imported}\n", encoding="utf-8")

    result = lint_imports(tmp_path)

    assert result.returncode != 0
    assert f"airflow_edge.{module.replace('/', '.')}.offender -> {imported}" in result.stdout


def test_a_circle_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "airflow_edge" / "runtime"
    (folder / "here.py").write_text("import airflow_edge.runtime.there\n", encoding="utf-8")
    (folder / "there.py").write_text("import airflow_edge.runtime.here\n", encoding="utf-8")

    result = lint_imports(tmp_path)

    assert result.returncode != 0
    assert "airflow_edge.runtime" in result.stdout


@pytest.mark.parametrize("folder", ["", "agent", "gateway", "store"])
def test_a_module_without_a_place_in_the_layers_is_noticed(folder: str, tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "airflow_edge" / folder / "newcomer.py").touch()

    result = lint_imports(tmp_path)

    assert result.returncode != 0
    assert "newcomer" in result.stdout


@pytest.mark.parametrize("package", THIRD_PARTY)
def test_third_party_imports_are_those_that_are_installed_everywhere(package: str) -> None:
    graph = grimp.build_graph("airflow_edge", include_external_packages=True, cache_dir=None)
    importers = [f"airflow_edge.{package}", *graph.find_descendants(f"airflow_edge.{package}")]
    imported = {
        name.partition(".")[0] for module in importers for name in graph.find_modules_directly_imported_by(module)
    }
    assert imported - sys.stdlib_module_names - {"airflow_edge"} <= THIRD_PARTY[package]


@pytest.mark.parametrize("package", ["protocol", "rules", "agent", "cli/site/main"])
def test_a_process_at_the_site_loads_nothing_of_the_centre(package: str) -> None:
    modules = modules_of(package) if "/" not in package else [f"airflow_edge.{package.replace('/', '.')}"]
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, ",".join(KEPT_OUT), *modules],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
