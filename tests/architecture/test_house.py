"""One can find one's way: a word means one thing, folders and files stay small, unit tests stand where modules do."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "airflow_edge"
UNIT = ROOT / "tests" / "unit"

MOST_MODULES = 14
"""In a folder, besides its `__init__`: as many as one keeps in the head."""
MOST_LINES = 400

SAME_NAME: dict[str, str] = {}
"""Class names that stand twice on purpose, and why."""

OF_THE_WHOLE = {"test_exactly_once.py": "two sites and two gateways, with every rule that has a part in it"}
"""Unit tests that stand for no module, and what they are about."""


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def test_no_class_name_stands_twice() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for module in modules():
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(module.relative_to(SOURCE)))
    assert homes
    twice = {name: found for name, found in homes.items() if len(found) > 1}
    assert not {name: found for name, found in twice.items() if name not in SAME_NAME}
    assert SAME_NAME.keys() <= twice.keys()


def test_no_folder_has_more_modules_than_one_keeps_in_the_head() -> None:
    sizes: defaultdict[str, int] = defaultdict(int)
    for module in modules():
        if module.name != "__init__.py":
            sizes[str(module.parent.relative_to(SOURCE))] += 1
    assert sizes
    # What has landed there stays: a database goes through all of it, and nobody reads it.
    sizes.pop("store/migrations/versions")
    assert not {folder: n for folder, n in sizes.items() if n > MOST_MODULES}


def test_no_file_is_too_long() -> None:
    lengths = {
        str(module.relative_to(SOURCE)): len(module.read_text(encoding="utf-8").splitlines()) for module in modules()
    }
    assert not {name: n for name, n in lengths.items() if n > MOST_LINES}


def test_lines_end_where_line_feeds_are() -> None:
    """`str.splitlines` parts a text at U+2028, U+0085 and seven others, which are in what people and programs write."""
    folders = ("src", "harness", "benchmarks", "demo", "tests/chaos", "tests/e2e")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in file.read_text(encoding="utf-8").split("\n")
        if ".splitlines(" in line and "__doc__" not in line
    ]
    assert files
    assert not found


def test_a_unit_test_stands_where_its_module_does() -> None:
    """`test_core_always.py` is about `core.py` too."""
    tests = sorted(UNIT.rglob("test_*.py"))
    assert tests
    homeless = []
    for test in tests:
        place = test.relative_to(UNIT)
        code = (ROOT if place.parts[0] == "harness" else SOURCE) / place.parent
        words = test.stem.removeprefix("test_").split("_")
        if not any((code / ("_".join(words[:n]) + ".py")).exists() for n in range(len(words), 0, -1)):
            homeless.append(str(place))
    assert set(homeless) == set(OF_THE_WHOLE)
