from __future__ import annotations

from uuid import uuid4

from airflow_edge.gateway.access.authentication import SeenTokens

ONE, OTHER = uuid4(), uuid4()


def test_a_token_is_new_once_for_each_worker():
    seen = SeenTokens()
    assert seen.first_time(ONE, "a", expires_at=100, now=0)
    assert not seen.first_time(ONE, "a", expires_at=100, now=99)
    assert seen.first_time(OTHER, "a", expires_at=100, now=99)


def test_a_flood_of_one_worker_pushes_out_nobody_elses():
    seen = SeenTokens(most_per_worker=10)
    seen.first_time(OTHER, "a", expires_at=100, now=0)
    for number in range(50):
        assert seen.first_time(ONE, str(number), expires_at=100, now=0)
    assert not seen.first_time(OTHER, "a", expires_at=100, now=0)
    assert not seen.first_time(ONE, "49", expires_at=100, now=0)


def test_what_has_expired_takes_no_room():
    seen = SeenTokens(most_per_worker=2)
    seen.first_time(ONE, "a", expires_at=10, now=0)
    seen.first_time(ONE, "b", expires_at=100, now=0)
    seen.first_time(ONE, "c", expires_at=100, now=11)
    assert not seen.first_time(ONE, "b", expires_at=100, now=11)
    seen.forget_expired(101)
    assert seen.first_time(ONE, "b", expires_at=200, now=101)
