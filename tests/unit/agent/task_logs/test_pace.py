"""What may be under way, on a simulated way to the centre."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.task_logs.pace import LEAST, MOST, MOST_PIECES, TOLERATED, Bucket, Window


class Way:
    """A way with so many bytes a second and a delay; answers come back at once after it."""

    def __init__(self, rate: float, delay: float) -> None:
        self.rate = rate
        self.delay = delay
        self.now = 0.0
        self.free_at = 0.0
        self.window = Window()
        self.under_way: list[tuple[float, int, float]] = []
        self.waits: list[float] = []
        self.carried = 0

    def run(self, seconds: float) -> None:
        while self.now < seconds:
            while self.window.room(sum(size for _, size, _ in self.under_way), len(self.under_way)):
                size = self.window.piece
                self.free_at = max(self.free_at, self.now) + size / self.rate
                self.under_way.append((self.free_at + self.delay, size, self.now))
            # Something urgent that came now would wait that long.
            self.waits.append(self.free_at - self.now)
            arrives, size, sent = self.under_way.pop(0)
            self.now = arrives
            self.carried += size
            self.window.answered(size, sent, self.now)


@pytest.mark.parametrize("rate", [10_000, 50_000, 1_000_000])
@pytest.mark.parametrize("delay", [0.01, 1.0])
def test_something_urgent_does_not_wait_long_and_the_way_is_used(rate: float, delay: float) -> None:
    way = Way(rate, delay)
    way.run(120)
    later = way.waits[len(way.waits) // 4 :]
    assert max(later) <= max(4 * (TOLERATED + delay), 3 * LEAST / rate)
    assert way.carried >= 0.3 * rate * 120 / (1 + delay)


def test_a_wide_way_is_used_in_full() -> None:
    way = Way(1e9, 0.01)
    way.run(5)
    assert way.window.size == MOST


def test_there_are_never_more_pieces_than_the_centre_can_hold() -> None:
    window = Window()
    assert window.room(0, MOST_PIECES - 1)
    assert not window.room(0, MOST_PIECES)


@given(
    rate=st.floats(1024, 1e6),
    sizes=st.lists(st.integers(1, 300_000), min_size=1, max_size=40),
    idle=st.floats(0, 1000),
)
def test_a_bucket_keeps_to_its_rate_and_never_refuses_for_good(rate: float, sizes: list[int], idle: float) -> None:
    bucket = Bucket(rate)
    now = began = idle
    sent = 0
    for size in sizes:
        while wait := bucket.wait(now):
            now += wait
        # No more than was due, and one second's worth to begin with; the piece before this one may be a debt.
        assert sent <= rate * (now - began) + rate + 1
        bucket.take(size)
        sent += size


def test_no_limit_never_waits() -> None:
    bucket = Bucket(None)
    bucket.take(10**12)
    assert bucket.wait(1.0) == 0.0
