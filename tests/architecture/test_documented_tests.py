"""The pages that name the tests which show what they say: the tests exist, and nothing is left out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from airflow_edge.cli.centre.definition import FLEET_COMMANDS
from airflow_edge.protocol.states import WORKER_TRANSITIONS

DOCS = Path(__file__).parents[2] / "docs"
FAILURES = DOCS / "explanation" / "what-happens-when.md"
FLEET = DOCS / "how-to" / "run-a-fleet.md"
LINK = re.compile(r"\[(?P<name>test_\w+)\]\((?P<file>[^)]+)\)")
CELL = re.compile(r"(?<!\\)\|")


@cache
def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def tables(page: Path, first: str) -> list[list[str]]:
    """The rows of the page's tables whose first column is called so; each has to name tests that exist."""
    rows: list[list[str]] = []
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in CELL.split(line)[1:-1]]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first:
            inside, width = True, len(cells)
        elif inside and not cells[0].startswith("---"):
            assert len(cells) == width, line
            rows.append(cells)
            check_links(page, cells[-1])
    return rows


def check_links(page: Path, text: str) -> None:
    links = LINK.findall(text)
    assert links, f"no test shows this: {text}"
    for name, file in links:
        assert name in functions((page.parent / file).resolve()), f"{file} has no {name}"


def check_for_real_agents(rows: list[list[str]]) -> None:
    for row in rows:
        assert "/tests/integration/fleet/" in row[-1], f"no real agent shows this: {row}"


def test_every_failure_is_shown_by_a_test_that_is_there() -> None:
    rows = tables(FAILURES, "what fails")
    assert len(rows) > 20
    assert {len(row) for row in rows} == {4}


def test_every_step_of_a_worker_is_shown_by_a_test_that_is_there() -> None:
    steps = [
        (state.value, event.value, after.value)
        for state, events in WORKER_TRANSITIONS.items()
        for event, after in events.items()
    ]
    rows = tables(FLEET, "from")
    assert sorted((before, event, after) for before, event, after, _ in rows) == sorted(steps)
    check_for_real_agents(rows)


def test_every_command_about_workers_is_shown_by_a_test_that_is_there() -> None:
    rows = tables(FLEET, "command")
    check_for_real_agents(rows)
    shown = {command.strip("`") for command, _ in rows}
    assert {f"airflow edge {command.name}" for command in FLEET_COMMANDS} <= shown
    assert {f"airflow-edge {command}" for command in ("maintenance", "status", "stop")} <= shown


def test_what_is_said_of_versions_is_shown_by_tests_that_are_there() -> None:
    for line in FLEET.read_text(encoding="utf-8").split("## Which test shows what")[0].splitlines():
        for name, file in LINK.findall(line):
            check_links(FLEET, f"[{name}]({file})")
