from __future__ import annotations

from bisect import bisect_left

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_edge.agent.link.link import FIRST_WAIT, LONGEST_WAIT
from airflow_edge.backoff import Backoff


def test_waits_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(0.2, 8.0)
    for due in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0, 8.0):
        assert due / 2 <= backoff.next() <= due
    backoff.reset()
    assert backoff.next() <= 0.2


@given(st.floats(0.0, 600.0), st.random_module())
@settings(max_examples=50, deadline=None)
def test_a_thousand_workers_come_back_in_time_and_not_in_a_herd(outage, randomness) -> None:
    workers = 1000
    returns = []
    for _ in range(workers):
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        attempt = backoff.next()
        while attempt < outage:
            attempt += backoff.next()
        returns.append(attempt - outage)
    returns.sort()
    assert returns[-1] <= LONGEST_WAIT
    busiest = max(bisect_left(returns, moment + 0.1) - number for number, moment in enumerate(returns))
    # A first wait lies anywhere in half a second: a fifth of all in each tenth, and chance.
    assert busiest < 0.3 * workers
    if outage > 30:
        assert busiest < workers / 20
