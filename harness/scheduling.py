"""Which tests one process runs together, and in which order they are handed out: what takes longest comes first.

The seconds of each scope were measured (`make test ARGS=--record-seconds`) and stand in `tests/seconds.json`. They need
not be exact, nor complete: they decide what begins when, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

TABLE = Path(__file__).parents[1] / "tests" / "seconds.json"

SHARED = frozenset(
    {
        "tests/browser",
        "tests/contract",
        "tests/e2e",
        "tests/e2e/replicas",
        "tests/integration/admin",
        "tests/integration/executor",
        "tests/integration/fleet",
        "tests/integration/gateway",
        "tests/integration/runtime",
        "tests/integration/site",
    }
)
"""Folders whose tests share an Airflow, a database, a centre or a warm runtime: one of each kind."""

ALONE = frozenset(
    {
        # These have an Airflow of their own.
        "tests/e2e/test_example_dags.py",
        "tests/e2e/test_other_airflows.py",
        "tests/e2e/test_harness.py",
        # These take so long that they are worth a second one.
        "tests/integration/fleet/test_orders.py",
        "tests/integration/gateway/test_outages.py",
    }
)
"""Files that do not wait for the others of their folder."""

KIND = re.compile(r"\b(sqlite|postgresql|mysql|this Airflow|oldest Airflow|Airflow 3\.\d)\b")
"""A parameter that says with which of the shared things a test runs."""

CROWDED = ("tests/browser [", "tests/e2e", "tests/docs/test_first_contact.py", "tests/docs/test_how_to.py")
"""Scopes that begin so have an Airflow of many processes each, which keep two cores busy; others mostly wait."""

UNKNOWN_TEST = 1.0
"""Seconds of a test in a scope that was never measured."""
LONG = 10.0
"""Seconds after which somebody who still has so much before it gets nothing long besides."""


def scope_of(nodeid: str) -> str:
    """Give what must not be torn apart: a file, or the tests of a folder that share something."""
    file, _, name = nodeid.partition("::")
    folder = file.rpartition("/")[0]
    if folder.startswith("tests/unit"):
        return folder
    together = folder if folder in SHARED and file not in ALONE else file
    kind = KIND.search(name.partition("[")[2])
    return f"{together} [{kind.group()}]" if kind else together


class SlowestFirst(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out scopes, the longest first, and at most a third of the processes a crowded one at a time.

    A process has to know its next test before it runs its last one, so it is given its next scope early. One that has a
    long test before it gets a short scope then: the long ones are for those who can begin with them.
    """

    def __init__(self, config: pytest.Config, log: Any = None, table: dict[str, float] | None = None) -> None:
        super().__init__(config, log)
        self._table = read_table() if table is None else table

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        busy = sum(self._seconds(scope, tests) for scope, tests in self.assigned_work[node].items()) > LONG
        crowds = [other for other in self.nodes if other is not node and self._is_crowded(other)]
        crowded = len(crowds) >= max(1, len(self.nodes) // 3)
        fitting = [scope for scope in self.workqueue if busy or scope.startswith(CROWDED) is not crowded]
        choose = min if busy else max
        scope = choose(fitting or self.workqueue, key=lambda scope: self._seconds(scope, self.workqueue[scope]))
        self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)

    def _is_crowded(self, node: WorkerController) -> bool:
        given = self.assigned_work[node].items()
        return any(scope.startswith(CROWDED) and not all(tests.values()) for scope, tests in given)

    def _seconds(self, scope: str, tests: dict[str, bool]) -> float:
        """Estimate how long what is left of a scope takes."""
        left = sum(1 for done in tests.values() if not done)
        return left * (self._table[scope] / len(tests) if scope in self._table else UNKNOWN_TEST)


class SecondsRecorder:
    """Adds up, where tests are handed out, what those of each scope took, and writes the table anew."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[scope_of(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        measured = {scope: round(seconds, 1) for scope, seconds in self._seconds.items()}
        table = sorted((read_table() | measured).items(), key=lambda row: -row[1])
        TABLE.write_text(json.dumps(dict(table), indent=1) + "\n", encoding="utf-8")


def read_table() -> dict[str, float]:
    table: dict[str, float] = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    return table
