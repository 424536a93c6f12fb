"""What Dag files import and this Python has not, without running them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from airflow_edge.agent.machine.dags import DagSource, look
from airflow_edge.agent.machine.imports import Imports

DAG = "from airflow.sdk import dag, task\n"


def missing(folder: Path, *beside: Path) -> list[str]:
    return list(Imports(beside).missing(folder, sorted(folder.rglob("*.py"))))


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import nowhere", "nowhere"),
        ("import json, nowhere.deep as deep", "nowhere.deep"),
        ("from nowhere.deep import what", "nowhere.deep"),
        ("from airflow.providers.nowhere.hooks.what import Hook", "airflow.providers.nowhere.hooks.what"),
    ],
)
def test_what_is_not_there_is_named_with_who_wants_it(tmp_path: Path, statement: str, module: str) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(f"{DAG}\n{statement}\n")
    said = f"{module} is not installed here, and {tmp_path}/a.py, line 3 and 1 more cannot be loaded without it"
    assert missing(tmp_path) == [said]
    assert look([DagSource("a", tmp_path)], Imports()).warnings == (said,)


@pytest.mark.parametrize(
    "statement",
    [
        "import json.decoder",
        "import importlib.metadata as m",
        "import sqlalchemy",
        "from airflow.models.nowhere import what",
        "from airflow.providers.standard.operators.bash import BashOperator",
        "from airflow.providers.standard import operators",
        "from . import nowhere",
        "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None",
        "def task():\n    import nowhere",
        "if False:\n    import nowhere",
        "this is no Python",
        "\0",
        "import helper, beside_it, plugged_in",
        "import __main__",
    ],
)
def test_nothing_is_said_of_what_is_there_or_may_be(tmp_path: Path, statement: str) -> None:
    folder, plugins = tmp_path / "dags", tmp_path / "plugins"
    folder.mkdir()
    plugins.mkdir()
    (folder / "helper.py").write_text("import nowhere")
    (folder / "beside_it").mkdir()
    (plugins / "plugged_in.py").touch()
    (folder / "a.py").write_text(f"{DAG}{statement}\n")
    assert missing(folder, plugins) == []


def test_what_airflow_may_leave_out_is_left_out(tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "a.py").write_text(f"{DAG}import nowhere\n")
    (deep / ".airflowignore").write_text("a")
    (tmp_path / "no_dag.py").write_text("import nowhere\n")
    assert missing(tmp_path) == []


def test_what_is_mended_is_seen_and_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dags, installed = tmp_path / "dags", tmp_path / "installed"
    dags.mkdir()
    installed.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(installed)])
    file = dags / "a.py"
    file.write_text(f"{DAG}import brought_later\n")
    imports = Imports()
    assert len(list(imports.missing(dags, [file]))) == 1
    reads: list[Path] = []

    def read_bytes(path: Path) -> bytes:
        reads.append(path)
        return path.read_text().encode()

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert len(list(imports.missing(dags, [file]))) == 1
    assert not reads
    (installed / "brought_later.py").touch()
    # A folder is read anew for its time, which a file system may count in seconds.
    os.utime(installed, ns=(0, 0))
    assert list(imports.missing(dags, [file])) == []
    file.write_text(f"{DAG}import nowhere_either\n")
    assert len(list(imports.missing(dags, [file]))) == 1
    assert reads == [file]


def test_what_is_strange_to_read_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    (tmp_path / "long.py").write_text(f"{DAG}import nowhere\n" + "#" * 1024 * 1024)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "nested.py").write_text(DAG + "(" * 5000)

    class Importer:
        def find_spec(self, *_: object) -> None:
            raise RuntimeError("somebody else's")

    (tmp_path / "z.py").write_text(f"{DAG}import nowhere\n")
    monkeypatch.setattr(sys, "meta_path", [Importer()])
    assert missing(tmp_path) == []
