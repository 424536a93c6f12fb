"""What `make fuzz` finds is found again by every run of the tests, until it is mended."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.examples import FOLDER, Example, kept, without_parameters

REPOSITORY = Path(__file__).parents[2]
SEED = 7

TESTS = """
import os

from hypothesis import Phase, given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

WRONG = {wrong}
PHASES = [Phase.reuse] if "ONLY_KEPT" in os.environ else list(Phase)

@settings(phases=PHASES)
@given(st.integers(0, 1000))
def test_a_property(number):
    assert not WRONG or number % 20 != 8

def test_no_property():
    raise AssertionError("not for make fuzz")

class Machine(RuleBasedStateMachine):
    @rule(data=st.data())
    def step(self, data):
        assert not WRONG or data.draw(st.sampled_from(range(1000))) % 100 != 7

Machine.TestCase.settings = settings(phases=PHASES, stateful_step_count=10)
TestMachine = Machine.TestCase
"""


@pytest.fixture
def repository(tmp_path):
    """A repository with two faults: what these tools need of this one, and two properties that do not hold."""
    for folder in ("harness", "tests/fuzz"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(REPOSITORY / file, tmp_path / file)
    write(tmp_path, wrong=True)
    return tmp_path


def write(repository, *, wrong):
    file = repository / "tests" / "unit" / "test_faults.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(TESTS.format(wrong=wrong))


def run(repository, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    if arguments[0] == "pytest":
        # What is tried here is that examples are kept: none is generated.
        environment["ONLY_KEPT"] = "1"
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def failures(ended):
    return sorted(set(re.findall(r"^FAILED (\S+)", ended.stdout, re.MULTILINE)))


PROPERTIES = ["tests/unit/test_faults.py::TestMachine::runTest", "tests/unit/test_faults.py::test_a_property"]


def test_what_it_finds_is_a_test_from_then_on(repository):
    tests = ("pytest", "-m", "hypothesis", "tests/unit")
    assert failures(run(repository, *tests)) == []

    found = run(repository, "tests.fuzz", "--rounds=1", f"--seed={SEED}", "--processes=1", "tests/unit")
    assert found.returncode == 1, found.stdout + found.stderr
    assert re.search(r"^fuzz: \d+ examples, 2 failures\n\Z", found.stdout, re.MULTILINE), found.stdout
    assert f"--fuzz-seed={SEED}" in found.stdout
    examples = kept(repository / "tests" / "examples")
    assert sorted(examples) == PROPERTIES
    assert any(line.startswith("AssertionError") for line in examples[PROPERTIES[1]][0].says)
    assert any(line.startswith("state.step(") for line in examples[PROPERTIES[0]][0].says)

    assert failures(run(repository, *tests)) == PROPERTIES
    write(repository, wrong=False)
    assert failures(run(repository, *tests)) == []
    found = run(repository, "tests.fuzz", "--rounds=1", f"--seed={SEED}", "--processes=1", "tests/unit")
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"^fuzz: [1-9]\d* examples, 0 failures\n\Z", found.stdout, re.MULTILINE), found.stdout


def test_every_example_that_was_kept_belongs_to_a_test_that_is_there():
    for file in sorted(FOLDER.glob("*.json")):
        path, _, name = Example.read(file).test.partition("::")
        assert (REPOSITORY / path).exists(), f"{file} is of a file that has gone: {path}"
        assert re.search(rf"\b{name.split('::')[0]}\b", (REPOSITORY / path).read_text()), f"{file}: no {name} in {path}"


def test_an_example_is_read_as_it_was_written(tmp_path):
    choices = (True, 1, -(2**100), 1.0, -0.0, math.inf, "\ud800 ä", b"\0\xff", 0)
    example = Example("tests/unit/test_x.py::test_y", choices, ("what it did",), 5, "6.0")
    file = example.write(tmp_path)
    again = Example.read(file)
    assert again == example
    assert list(map(repr, again.choices)) == list(map(repr, choices))
    assert repr(Example.read(Example("t::t", (math.nan,)).write(tmp_path)).choices) == "(nan,)"
    assert json.loads(file.read_text())["test"] == "tests/unit/test_x.py::test_y"


def test_an_example_of_one_database_is_tried_with_each():
    assert without_parameters("tests/contract/test_x.py::test_y[sqlite]") == "tests/contract/test_x.py::test_y"
