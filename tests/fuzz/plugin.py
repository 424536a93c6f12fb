"""One round of `make fuzz`, inside pytest: new examples for all tests that have any, until the time is up."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.statistics import collector

from tests.fuzz.examples import FOLDER, Example, FoundExamples, notes, without_parameters

EXAMPLES = 500
"""Of a test that does not name a number: to start a process takes as long as a hundred of most."""

PLUGIN = "fuzz-round"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fuzz")
    group.addoption("--fuzz-seed", type=int, default=0, help="what the examples are made from")
    group.addoption("--fuzz-until", type=float, help="seconds since the epoch")
    group.addoption("--fuzz-result", type=Path, help="where to write what came out")


def pytest_configure(config: pytest.Config) -> None:
    found = FoundExamples()
    settings.register_profile(
        "new-examples",
        settings.default,
        database=found,
        derandomize=False,
        max_examples=EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("new-examples")
    config.pluginmanager.register(Round(config, found), PLUGIN)


class Round:
    def __init__(self, config: pytest.Config, found: FoundExamples) -> None:
        self._found = found
        self._until: float | None = config.getoption("fuzz_until")
        self._result: Path | None = config.getoption("fuzz_result")
        self._seed: int = config.getoption("fuzz_seed")
        self._examples = 0
        self._failures: list[dict[str, Any]] = []

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Take SQLite where there is a choice, and another order each time: not every round comes to its end."""
        gone = [item for item in items if "postgresql" in item.nodeid.partition("[")[2]]
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]
        random.Random(self._seed).shuffle(items)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        with collector.with_value(self._count):  # type: ignore[arg-type]  # it is made with None
            return (yield)

    def _count(self, statistics: Any) -> None:
        for phase in ("reuse", "generate", "shrink"):
            for case in statistics.get(f"{phase}-phase", {}).get("test-cases", ()):
                self._examples += case["status"] in ("valid", "interesting")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            self._failures.append(self._keep(item, call))
        return report

    def _keep(self, item: pytest.Item, call: pytest.CallInfo[None]) -> dict[str, Any]:
        test = without_parameters(item.nodeid)
        says = tuple(notes(call.excinfo.value if call.excinfo else None))
        files = [
            Example(test, choices, says, self._seed, hypothesis.__version__).write(FOLDER)
            for choices in self._found.of(test)
        ]
        return {"test": item.nodeid, "says": says, "files": [str(file) for file in files]}

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        if self._until is not None and time.time() > self._until:
            item.session.shouldstop = "the time is up"

    def pytest_sessionfinish(self) -> None:
        if self._result is not None:
            self._result.write_text(json.dumps({"examples": self._examples, "failures": self._failures}))
