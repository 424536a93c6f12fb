from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.second_try import MOST

REPOSITORY = Path(__file__).parents[3]
ONCE = """def test_{name}():
    path = pathlib.Path({path!r})
    again = path.exists()
    path.touch()
    assert again
"""
ALWAYS = "def test_{name}():\n    assert not {path!r}\n"
NEVER = "def test_{name}():\n    assert {path!r}\n"


@pytest.mark.parametrize(
    ("tests", "status", "said"),
    [
        ([NEVER], 0, ["1 passed"]),
        ([NEVER, ONCE], 0, ["1 failed, 1 passed", "1 passed in", "passed by themselves", "test_it.py::test_1"]),
        ([ONCE, ALWAYS], 1, ["2 failed", "1 failed, 1 passed"]),
        ([ONCE] * (MOST + 1), 1, [f"{MOST + 1} failed"]),
        (["import nothing_that_is_there  # {name} {path}"], 2, ["1 error"]),
    ],
)
def test_what_failed_is_tried_once_more_by_itself(
    tmp_path: Path, tests: list[str], status: int, said: list[str]
) -> None:
    texts = [text.format(name=number, path=str(tmp_path / f"seen-{number}")) for number, text in enumerate(tests)]
    (tmp_path / "test_it.py").write_text("\n".join(["import pathlib", *texts]), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "harness.second_try"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert [words for words in said if words not in done.stdout] == []
    assert ("by themselves (" in done.stdout) is (status == 0 and ONCE in tests)
