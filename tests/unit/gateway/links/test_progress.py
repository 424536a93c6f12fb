from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.gateway.links.progress import Progress


@given(st.integers(0, 5), st.permutations(range(1, 9)), st.integers(0, 8))
def test_it_is_the_number_up_to_which_all_are_done(start, order, count):
    progress = Progress(start)
    done = {start + number for number in order[:count]}
    for number in order[:count]:
        progress.finish(start + number)
    first_missing = next(number for number in range(start + 1, start + 10) if number not in done)
    assert progress.done == first_missing - 1
