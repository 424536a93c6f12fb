from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.scheduling import SlowestFirst, read_table, scope_of


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        ("tests/unit/agent/core/test_core.py::test_x[sqlite]", "tests/unit/agent/core"),
        ("tests/unit/test_exactly_once.py::TestWorld::runTest", "tests/unit"),
        ("tests/e2e/test_journey.py::test_x[postgresql]", "tests/e2e [postgresql]"),
        ("tests/e2e/test_stop.py::test_x[failed-postgresql]", "tests/e2e [postgresql]"),
        ("tests/e2e/replicas/test_logs.py::test_x", "tests/e2e/replicas"),
        ("tests/contract/test_logs.py::test_x[postgresql+s3]", "tests/contract [postgresql]"),
        (
            "tests/integration/runtime/test_runtime.py::test_x[oldest Airflow]",
            "tests/integration/runtime [oldest Airflow]",
        ),
        ("tests/integration/gateway/test_reading.py::test_x[sqlite-1]", "tests/integration/gateway [sqlite]"),
        ("tests/integration/agent/test_end.py::test_x[a-b]", "tests/integration/agent/test_end.py"),
        (
            "tests/integration/centre/test_migrations.py::test_x[sqlite]",
            "tests/integration/centre/test_migrations.py [sqlite]",
        ),
    ],
)
def test_what_shares_something_stays_together(nodeid, scope):
    assert scope_of(nodeid) == scope


class Node:
    """A process that is told what to run."""

    def __init__(self, name):
        self.given: list[int] = []
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False

    def send_runtest_some(self, tests):
        self.given += tests

    def shutdown(self):
        self.shutting_down = True


@pytest.fixture
def play(pytestconfig, monkeypatch):
    """Let two processes take what they are given, and say in which order the scopes were begun."""

    def play(tests, table):
        monkeypatch.setattr(pytestconfig.option, "tx", ["2*popen"])
        scheduler = SlowestFirst(pytestconfig, None, table)
        nodes = [Node("first"), Node("second")]
        for node in nodes:
            scheduler.add_node(node)
        for node in nodes:
            scheduler.add_node_collection(node, tests)
        scheduler.schedule()
        return scheduler, nodes

    return play


def names(tests, node):
    return [scope_of(tests[index]).rpartition("/")[2] for index in node.given]


def test_the_longest_come_first_and_who_has_a_long_one_gets_a_short_one_besides(play):
    tests = [f"tests/integration/agent/test_{name}.py::test" for name in ("a", "b", "c", "d", "e", "unknown")]
    seconds = dict(zip("abcde", (5.0, 100.0, 60.0, 80.0, 2.0), strict=True))
    table = {f"tests/integration/agent/test_{name}.py": taken for name, taken in seconds.items()}
    scheduler, nodes = play(tests, table)
    assert names(tests, nodes[0]) == ["test_b.py", "test_unknown.py"]
    assert names(tests, nodes[1]) == ["test_d.py", "test_e.py"]
    scheduler.mark_test_complete(nodes[1], tests.index("tests/integration/agent/test_d.py::test"))
    assert names(tests, nodes[1])[2:] == ["test_c.py"]
    scheduler.mark_test_complete(nodes[1], tests.index("tests/integration/agent/test_e.py::test"))
    scheduler.mark_test_complete(nodes[0], tests.index("tests/integration/agent/test_b.py::test"))
    assert names(tests, nodes[0])[2:] + names(tests, nodes[1])[3:] == ["test_a.py"]


def test_two_crowds_are_not_run_at_once_as_long_as_there_is_something_else(play):
    crowds = [f"tests/e2e/test_{name}.py::test[{name}]" for name in ("sqlite", "postgresql")]
    others = [f"tests/integration/agent/test_{name}.py::test" for name in "abcd"]
    tests = crowds + others
    table = dict(zip(map(scope_of, tests), (100.0, 90.0, 60.0, 50.0, 5.0, 4.0), strict=True))
    scheduler, nodes = play(tests, table)
    assert names(tests, nodes[0]) == ["e2e [sqlite]", "test_d.py"]
    assert names(tests, nodes[1]) == ["test_a.py", "test_c.py"]
    scheduler.mark_test_complete(nodes[1], tests.index(others[0]))
    scheduler.mark_test_complete(nodes[1], tests.index(others[2]))
    assert names(tests, nodes[1])[2:] == ["test_b.py", "e2e [postgresql]"]


def test_every_scope_of_the_table_can_be_one():
    table = read_table()
    assert table
    for scope in table:
        assert scope.startswith("tests/")
        assert table[scope] >= 0
