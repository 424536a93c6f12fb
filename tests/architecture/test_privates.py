"""What of Airflow and websockets the code rests on though they promise nothing: what a new release moves shows here."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from harness.environments import OTHER_AIRFLOWS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "airflow_edge"
ENVIRONMENTS = {"Airflow 3.3": Path(sys.executable)} | {
    f"Airflow {version}": ROOT / ".build" / f"airflow-{version}" / "bin" / "python" for version in OTHER_AIRFLOWS
}

PRIVATE = {
    "airflow.dag_processing.dagbag:_validate_executor_fields": "a site accepts the Dags that the centre accepts",
    "airflow.sdk.execution_time.supervisor:WatchedSubprocess._service_subprocess": "a task's end is noticed at once",
    "airflow.sdk.execution_time.supervisor:WatchedSubprocess._check_subprocess_exit": "a stop is no lack of memory",
    "airflow.sdk.execution_time.supervisor:WatchedSubprocess._open_sockets": "a task's end is noticed at once",
    "airflow.sdk.execution_time.supervisor:WatchedSubprocess._exit_code": "what a task leaves behind ends with it",
    "airflow.sdk.execution_time.supervisor:_fork_main": "a task is another user before it does anything",
    "airflow.sdk.execution_time.supervisor:_configure_logging": "callbacks on Airflow 3.2",
    "airflow.utils.log.file_task_handler:FileTaskHandler._read": "logs are given line by line",
    "airflow.utils.log.file_task_handler:FileTaskHandler._read_from_logs_server": "the triggerer's lines beside ours",
    "airflow.utils.log.file_task_handler:FileTaskHandler._render_filename": "logs are given line by line",
    "airflow.utils.log.file_task_handler:_interleave_logs": "logs are given line by line",
}
"""Names that begin with an underscore, by module and path within it, and what for."""

INTERNAL = {
    "airflow.dag_processing.dagbag:get_listener_manager": "a site accepts the Dags that the centre accepts",
    "airflow.api_fastapi.execution_api.app:lifespan": "an Execution API of our own, with a registry of its own",
    "airflow.sdk.execution_time.task_runner:main": "a backend for XComs is loaded in the task's process",
    "airflow.sdk.execution_time.task_runner:parse": "a crash ends the task, and as whom it may be run is known then",
    "airflow.sdk.log:init_log_file": "a task goes on when its log's disk is full",
    "websockets.proxy:parse_proxy": "one reading of the proxy variables for HTTP and WebSocket",
}
"""Names without one that are replaced from outside, or that their project neither exports nor documents."""

ONLY_IN_ONE = {
    "airflow.sdk.execution_time.callback_supervisor": "new in 3.3; compat.py does without",
}
"""Modules that only some supported version has."""

THEIRS = ("airflow", "websockets")
PUBLIC_OF_WEBSOCKETS = ("websockets.asyncio.client", "websockets.exceptions")
STANDARD = frozenset({"_asdict", "_exit", "_replace"})
"""Of named tuples and `os`: documented."""

LOOK = """
import importlib, json, sys
missing = []
for name in json.load(sys.stdin):
    module, _, path = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError:
        missing.append(name)
        continue
    for part in filter(None, path.split(".")):
        if hasattr(found, part) or part in str(getattr(found, "__annotations__", ())) \\
                or any(part in getattr(kind, "__slots__", ()) for kind in getattr(found, "__mro__", ())):
            found = getattr(found, part, None)
        else:
            try:
                found = importlib.import_module(f"{module}.{part}")
            except ImportError:
                missing.append(name)
                break
print(json.dumps(missing))
"""


@cache
def trees() -> dict[Path, ast.Module]:
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(SOURCE.rglob("*.py"))}


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Module and name (empty for the module itself) of what a file imports of theirs when it runs."""
    for_types = {
        id(inside)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inside in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] in THEIRS)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in THEIRS:
            yield from ((node.module, alias.name) for alias in node.names)


@cache
def ours() -> frozenset[str]:
    """Every name that the code itself defines: functions, attributes that are assigned or annotated."""
    names = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
                names.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
    return frozenset(names)


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def found_privates() -> dict[str, set[str]]:
    """The private names that a file uses and that no code of ours defines, or that its class takes over from theirs."""
    found: dict[str, set[str]] = {}
    for file, tree in trees().items():
        names = {name for module, name in imports(tree) if is_private(name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                is_super = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super"
                if is_super or node.attr not in ours() | STANDARD:
                    names.add(node.attr)
        if names:
            found[str(file.relative_to(SOURCE))] = names
    return found


def ask(python: Path, names: list[str]) -> list[str]:
    """Which of these are not in that environment."""
    if not python.exists():
        pytest.skip(f"run `make env-{python.parents[1].name}`")
    result = subprocess.run(
        [python, "-c", LOOK], input=json.dumps(names), capture_output=True, text=True, timeout=180, check=True
    )
    missing: list[str] = json.loads(result.stdout.splitlines()[-1])
    return missing


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_private_that_is_used_is_there(environment: str) -> None:
    assert not ask(ENVIRONMENTS[environment], [*PRIVATE, *INTERNAL])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_everything_that_is_imported_is_there(environment: str) -> None:
    names = {f"{module}:{name}" for tree in trees().values() for module, name in imports(tree)}
    assert len(names) > 50
    wanted = sorted(name for name in names if name.partition(":")[0] not in ONLY_IN_ONE)
    assert not ask(ENVIRONMENTS[environment], wanted)


def test_the_list_is_complete_and_has_nothing_else_in_it() -> None:
    listed = {name.rpartition(":")[2].rpartition(".")[2] for name in PRIVATE}
    used = set().union(*found_privates().values())
    assert used == listed


def test_what_websockets_does_not_export_is_listed() -> None:
    used = {
        f"{module}:{name}"
        for tree in trees().values()
        for module, name in imports(tree)
        if module.startswith("websockets") and module not in PUBLIC_OF_WEBSOCKETS
    }
    assert used == {name for name in INTERNAL if name.startswith("websockets")}
