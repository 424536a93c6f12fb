"""The page that says what happens when something fails names the tests that show it. They exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "what-happens-when.md"
LINK = re.compile(r"\[(?P<name>test_\w+)\]\((?P<file>[^)]+)\)")


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_failure_is_shown_by_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    failures = [row for row in rows if not row.startswith("| what fails |")]
    assert len(failures) > 20
    for row in failures:
        assert len(re.findall(r"(?<!\\)\|", row)) == 5, row
        links = LINK.findall(row)
        assert links, f"no test shows this: {row}"
        for name, file in links:
            assert name in functions(PAGE.parent / file), f"{file} has no {name}"
