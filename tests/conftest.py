"""What all tests have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from harness.processes import let_children_hang_up
from tests.fuzz.examples import KeptExamples, begin_with, the_same_wherever

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile(
    "the-same-each-time",
    database=KeptExamples(),
    deadline=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("the-same-each-time")

let_children_hang_up()


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("tests.fuzz.plugin"):
        the_same_wherever()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Generate the same examples each time, whatever ran before: a failure has to come from the change."""
    begin_with(item.config.getoption("fuzz_seed", 1), item.nodeid)
    return (yield)


class FolderScheduling(LoadScopeScheduling):
    """Keeps the tests of a folder in one process: they share an Airflow, a database, or both."""

    def _split_scope(self, nodeid: str) -> str:
        """Give what must not be torn apart: `tests/e2e`, `tests/integration/gateway` …"""
        file = nodeid.partition("::")[0]
        return "/".join(file.split("/")[:-1][:3])


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Hand tests out folder by folder."""
    return FolderScheduling(config, log)
