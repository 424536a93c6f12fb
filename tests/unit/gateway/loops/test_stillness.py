from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_edge.gateway.loops.stillness import Stillness

PAUSE = 10.0

steps = st.floats(0.0, 100.0, allow_nan=False)
looks = st.lists(st.tuples(steps, steps, steps), min_size=1, max_size=20)
"""Of each: seconds until the question, until the value is read, and until the answer."""


def moments(looks: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    times = list(accumulate(step for look in looks for step in look))
    return list(zip(times[::3], times[1::3], times[2::3], strict=True))


@given(looks=looks, changes=st.lists(st.tuples(steps, st.integers()), max_size=40, unique_by=lambda change: change[1]))
@example(looks=[(0.0, 0.0, 0.0), (9.0, 0.0, 0.0)], changes=[(8.0, 1)])
def test_nothing_is_ever_taken_for_stiller_than_it_is_whatever_the_clocks_of_those_who_change_it_say(looks, changes):
    """What a clock says, wrong or set meanwhile, is a value like any other: it only has to differ from the others."""
    times = list(accumulate(step for step, _ in changes))
    values = [None, *(stamp for _, stamp in changes)]
    stillness: Stillness[str, int | None] = Stillness(PAUSE)
    for asked, read, answered in moments(looks):
        past = [moment for moment in times if moment <= read]
        (still,) = stillness.look({"worker": values[len(past)]}, asked=asked, answered=answered).values()
        assert still <= read - (past[-1] if past else 0.0) + 1e-6


@given(pauses=st.lists(st.floats(0.0, PAUSE), min_size=1, max_size=20))
def test_what_stands_still_is_seen_to_for_as_long_as_somebody_looks(pauses):
    stillness: Stillness[str, int] = Stillness(PAUSE)
    for moment in accumulate(pauses):
        still = stillness.look({"worker": 1}, asked=moment, answered=moment)["worker"]
    assert still == pytest.approx(sum(pauses[1:]))


def test_time_in_which_nobody_could_look_does_not_count() -> None:
    stillness: Stillness[str, int] = Stillness(PAUSE)
    assert stillness.look({"a": 1, "b": 1}, asked=0, answered=3) == {"a": 0, "b": 0}
    assert stillness.look({"a": 1, "b": 1}, asked=8, answered=9) == {"a": 5, "b": 5}
    # The machine stood still, and with it all who could have changed something.
    assert stillness.look({"a": 1, "b": 2}, asked=5000, answered=5000) == {"a": 15, "b": 0}
    # One that was gone begins anew.
    assert stillness.look({"b": 2}, asked=5001, answered=5001) == {"b": 1}
    assert stillness.look({"a": 1}, asked=5002, answered=5002) == {"a": 0}
