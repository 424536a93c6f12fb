from __future__ import annotations

from airflow_edge.gateway.links.driver import BURST, BYTES_PER_SECOND, COST, Allowance

SIZE = 64 * 1024


def taken(allowance: Allowance, batches: int, *, now: float) -> int:
    return sum(SIZE + COST for _ in range(batches) if allowance.take(SIZE, now=now))


def test_what_comes_too_fast_is_dropped_and_later_there_is_room_again() -> None:
    allowance = Allowance()
    assert BURST - SIZE - COST <= taken(allowance, 100, now=5.0) <= BURST
    later = sum(taken(allowance, 20, now=5.0 + second) for second in range(1, 61))
    assert 60 * BYTES_PER_SECOND - SIZE - COST <= later <= 61 * BYTES_PER_SECOND + SIZE


def test_what_is_too_much_takes_nothing_from_the_next() -> None:
    allowance = Allowance()
    assert not allowance.take(BURST, now=0.0)
    assert allowance.take(BURST - COST, now=0.0)
    assert not allowance.take(0, now=0.0)


def test_what_comes_too_fast_is_waited_for_and_what_comes_now_and_then_is_not() -> None:
    allowance = Allowance(rate=100, burst=1000)
    assert allowance.owe(1000, now=0.0) == 0.0
    assert allowance.owe(500, now=0.0) == 5.0
    assert allowance.owe(100, now=5.0) == 1.0
    assert not any(allowance.owe(500, now=100.0 + 5 * turn) for turn in range(100))
