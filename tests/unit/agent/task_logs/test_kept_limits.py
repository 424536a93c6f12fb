from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.task_logs.kept import Copy, Limits, to_remove

NOW = 1_000_000.0

copies = st.lists(st.tuples(st.integers(0, 1000), st.floats(NOW - 1000, NOW + 10)), max_size=30).map(
    lambda facts: [Copy(f"c{number}", size, at) for number, (size, at) in enumerate(facts)]
)
limits = st.builds(Limits, max_age=st.floats(0, 1500), max_size=st.integers(0, 20_000), min_free=st.integers(0, 20_000))


@given(copies, limits, st.integers(0, 20_000))
def test_what_stays_is_within_all_limits_and_nothing_goes_without_need(
    kept: list[Copy], limits: Limits, free: int
) -> None:
    removed = to_remove(kept, limits, now=NOW, free=free)
    oldest_first = sorted(kept, key=lambda copy: (copy.kept_at, copy.name))
    assert removed == [copy.name for copy in oldest_first[: len(removed)]]
    gone, stays = oldest_first[: len(removed)], oldest_first[len(removed) :]
    free_then = free + sum(copy.size for copy in gone)
    if stays:
        assert not limits.nothing
        assert all(NOW - copy.kept_at <= limits.max_age for copy in stays)
        assert sum(copy.size for copy in stays) <= limits.max_size
        assert free_then >= limits.min_free
    if gone and not limits.nothing:
        last = gone[-1]
        assert (
            NOW - last.kept_at > limits.max_age
            or sum(copy.size for copy in [last, *stays]) > limits.max_size
            or free_then - last.size < limits.min_free
        )


def test_without_age_or_size_nothing_is_kept() -> None:
    one = [Copy("c", 0, NOW)]
    for max_age, max_size in ((0, 1), (1, 0)):
        assert to_remove(one, Limits(max_age=max_age, max_size=max_size, min_free=0), now=NOW, free=9) == ["c"]
