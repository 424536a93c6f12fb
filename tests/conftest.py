"""What all tests have in common."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings

from harness.processes import let_children_hear_signals
from harness.scheduling import SecondsRecorder, SlowestFirst
from harness.templates import templates_in_common
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

let_children_hear_signals()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-seconds", action="store_true", help="write anew what each scope takes: tests/seconds.json"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Before the other processes of the run are started: they inherit it.
    with ExitStack() as stack:
        stack.enter_context(templates_in_common())
        config.add_cleanup(stack.pop_all().close)
    if config.getoption("record_seconds") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SecondsRecorder())
    if not config.pluginmanager.hasplugin("tests.fuzz.plugin"):
        the_same_wherever()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each kind of database costs minutes: `one_database` tests what lies before it, and takes one."""
    spared = {item for item in items if item.get_closest_marker("one_database") and _on_sqlite(item)}
    if spared:
        items[:] = [item for item in items if item not in spared]
        config.hook.pytest_deselected(items=[*spared])


def _on_sqlite(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and "sqlite" in (callspec.params.get("database"), callspec.params.get("engine"))


def pytest_collection_finish() -> None:
    """Spare the search for garbage what stays: all modules and tests. It took a sixth of the processor's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Generate the same examples each time, whatever ran before: a failure has to come from the change."""
    begin_with(item.config.getoption("fuzz_seed", 1), item.nodeid)
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> SlowestFirst:
    """Hand out together what shares something, and first what takes longest."""
    return SlowestFirst(config, log)
