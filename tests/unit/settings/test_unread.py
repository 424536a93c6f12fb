from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_edge.settings import SETTINGS, environment_variable
from airflow_edge.settings.unread import EDGE3, Unread, unread

GUARDS = sorted(setting.name for setting in SETTINGS if setting.guards and setting.side == "site")


def of_file(*names: str, section: str = "edge", side: str = "site") -> list[Unread]:
    return list(unread({section: names}, "airflow.cfg", [], side))


def of_environment(*variables: str) -> list[Unread]:
    return list(unread({}, "airflow.cfg", variables, "site"))


def test_what_is_a_setting_is_none_of_these() -> None:
    names = [setting.name for setting in SETTINGS]
    assert of_file(*names, *EDGE3, "listener_sql_alchemy_conn_cmd") == []
    ours = ["AIRFLOW_EDGE_GENERATION", "_AIRFLOW_EDGE_BEGUN_AGAIN", "AIRFLOW_EDGE_KEEPER", "AIRFLOW_EDGE_WORKER_NAME"]
    assert of_environment(*(environment_variable(name) for name in (*names, *EDGE3)), *ours, "PATH") == []
    assert of_file("task_runner", "policy_file", section="core") == []


@given(st.sampled_from(GUARDS), st.data())
def test_a_guard_of_which_one_letter_is_wrong_is_told_apart_from_what_may_be_anything(guard: str, data) -> None:
    at = data.draw(st.integers(0, len(guard) - 1))
    typed = data.draw(st.sampled_from(["", "x", "xx", "-"]))
    name = guard[:at] + typed + guard[at + 1 :]
    assume(name not in {guard, *EDGE3})
    (found,) = of_file(name)
    assert found.guards
    assert str(found) == f"[edge] {name} in airflow.cfg is not read (did you mean '{guard}' in [edge]?)"
    assert [one.meant for one in of_environment(f"AIRFLOW__EDGE__{name.upper()}")] == [guard]


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_in_another_place_guards_nothing(guard: str) -> None:
    for section in ("Edge", "edges", "core", "DEFAULT"):
        (found,) = of_file(guard, section=section)
        assert found.guards
        assert f"[{section}] {guard} in airflow.cfg is not read" in str(found)
    upper = guard.upper()
    variables = [
        f"AIRFLOW_EDGE__{upper}",
        f"AIRFLOW__EDGE_{upper}",
        f"AIRFLOW__EDGE__{guard}",
        f"airflow__edge__{guard}",
    ]
    assert [one.guards for one in of_environment(*variables)] == [True] * 4


def test_another_name_is_told_and_guards_nothing() -> None:
    found = of_file("worker_concurency", "weather")
    assert [(one.meant, one.guards) for one in found] == [("worker_concurrency", False), ("", False)]
    assert "there is no such setting" in str(found[1])


def test_a_guard_of_the_other_side_stops_nobody_here() -> None:
    assert [one.guards for one in of_file("policy_fle")] == [False]
    assert [one.guards for one in of_file("policy_fle", side="centre")] == [True]
