from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.gateway.refusals import BURST, INTERVAL, LONGEST, MOST_KEPT, Refusals

TRIES = st.lists(st.floats(min_value=0, max_value=2), min_size=1, max_size=200)
"""Seconds between one and the next."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_refusals_are_told_at_once_and_those_after_them_only_so_often() -> None:
    refusals = Refusals(clock=Clock())
    pauses = []
    for _ in range(BURST + 3):
        refusals.note("greedy")
        pauses.append(refusals.pause("greedy"))
    assert pauses == [0.0] * BURST + [INTERVAL, 2 * INTERVAL, 3 * INTERVAL]
    assert refusals.pause("honest") == 0.0


def test_who_stops_is_told_at_once_again() -> None:
    clock = Clock()
    refusals = Refusals(clock=clock)
    for _ in range(10_000):
        refusals.note("greedy")
    assert refusals.pause("greedy") == LONGEST
    clock.now += LONGEST
    assert refusals.pause("greedy") == 0.0


@given(tries=TRIES)
def test_who_waits_for_its_answers_is_answered_only_so_often(tries: list[float]) -> None:
    clock = Clock()
    refusals = Refusals(burst=3, clock=clock)
    answered = []
    for pause in tries:
        clock.now += pause
        refusals.note("greedy")
        clock.now += refusals.pause("greedy")
        answered.append(clock.now)
    for first, later in zip(answered, answered[4:], strict=False):
        assert later - first >= INTERVAL - 1e-6


def test_of_very_many_the_ones_that_were_refused_longest_ago_are_forgotten() -> None:
    refusals = Refusals(burst=0, clock=Clock())
    for who in range(MOST_KEPT + 1):
        refusals.note(who)
    assert refusals.pause(0) == 0.0
    assert refusals.pause(1) == INTERVAL
