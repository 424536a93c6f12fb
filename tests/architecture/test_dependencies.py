"""What the code imports is declared for the side that imports it: nothing is there only for somebody else's sake."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "airflow_edge"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

SITE = frozenset({"agent", "protocol", "site", "backoff.py", "texts.py", "settings", "cli/site", "cli/example.py"})
"""What a site runs without an extra; `runtime` needs `[worker]`, and everything else is the centre's."""

INSTALLED_BY = {
    "compression": "the standard library, from Python 3.14 on",
    "_typeshed": "type checkers, for themselves; it is not imported when the program runs",
    "airflow": "`apache-airflow-core` and `apache-airflow-task-sdk`, which share the name",
}


def imported(file: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"airflow_edge"} - INSTALLED_BY.keys()


def declared(*extras: str) -> set[str]:
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def side(place: str) -> set[str]:
    """What is declared for a file of `src`."""
    if place.startswith("runtime/"):
        return declared("worker")
    of_the_site = any(place == part or place.startswith(f"{part}/") for part in SITE)
    return declared() if of_the_site else declared("server")


def test_every_import_of_another_project_is_declared() -> None:
    installed = packages_distributions()
    undeclared = []
    files = sorted(SOURCE.rglob("*.py"))
    assert files
    for file in files:
        place = str(file.relative_to(SOURCE))
        undeclared += [
            f"{place} imports {name}"
            for name in sorted(imported(file))
            if not {canonicalize_name(of) for of in installed.get(name, [f"?{name}"])} & side(place)
        ]
    assert not undeclared


def test_what_rests_on_privates_has_an_upper_bound() -> None:
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    bound = {"apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk", "websockets"}
    found = [requirement for line in lines if (requirement := Requirement(line)).name in bound]
    assert {requirement.name for requirement in found} == bound
    assert not [str(requirement) for requirement in found if "<" not in str(requirement.specifier)]
