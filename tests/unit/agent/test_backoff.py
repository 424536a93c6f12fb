from __future__ import annotations

from airflow_edge.agent.backoff import Backoff


def test_waits_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(0.2, 8.0)
    for due in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0, 8.0):
        assert due / 2 <= backoff.next() <= due
    backoff.reset()
    assert backoff.next() <= 0.2
