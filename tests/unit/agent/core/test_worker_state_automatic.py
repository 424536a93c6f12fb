from __future__ import annotations

import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.core.events import DesiredState
from airflow_edge.agent.core.worker_state import ENTER_AT, LEAVE_BELOW, Automatic

IN_BY_ITSELF = DesiredState(maintenance="ill", cause="system")
INFO, WARNING, ERROR = logging.INFO, logging.WARNING, logging.ERROR


@pytest.mark.parametrize(
    ("on", "status", "advice"),
    [
        ("off", logging.CRITICAL, None),
        ("error", WARNING, None),
        ("error", ERROR, "enter"),
        ("error", logging.CRITICAL, "enter"),
        ("warning", INFO, None),
        ("warning", WARNING, "enter"),
        ("warning", ERROR, "enter"),
    ],
)
def test_when_to_enter(on: str, status: int, advice: str | None) -> None:
    rule = Automatic(enter_at=ENTER_AT[on])
    assert rule.advise(status, DesiredState()) == advice


@pytest.mark.parametrize(
    ("on", "leave", "status", "advice"),
    [
        ("error", "off", INFO, None),
        ("error", "info", INFO, "leave"),
        ("error", "info", WARNING, None),
        ("error", "warning", WARNING, "leave"),
        ("error", "warning", ERROR, None),
        ("warning", "warning", WARNING, None),
        ("warning", "warning", INFO, "leave"),
        ("off", "info", INFO, "leave"),
    ],
)
def test_when_to_leave(on: str, leave: str, status: int, advice: str | None) -> None:
    rule = Automatic(enter_at=ENTER_AT[on], leave_below=LEAVE_BELOW[leave])
    assert rule.advise(status, IN_BY_ITSELF) == advice
    assert rule.advise(status, DesiredState(maintenance="new disk", cause="site")) is None


@given(
    st.sampled_from([*ENTER_AT.values()]), st.sampled_from([*LEAVE_BELOW.values()]), st.integers(0, 60), st.booleans()
)
def test_the_same_status_never_leads_in_and_out(
    enter_at: int | None, leave_below: int | None, status: int, overruled: bool
) -> None:
    rule = Automatic(enter_at=enter_at, leave_below=leave_below)
    enters = rule.advise(status, DesiredState(overruled=overruled)) == "enter"
    leaves = rule.advise(status, msgspec.structs.replace(IN_BY_ITSELF, overruled=overruled)) == "leave"
    assert not (enters and leaves)
