from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from airflow_edge.rules.model import Nonce
from airflow_edge.store.sql import SqlStore
from tests.contract.world import NOW

LATER = NOW + timedelta(minutes=3)


def nonce(subject: str, jti: str, expires_at: datetime = LATER) -> Nonce:
    return Nonce(subject, jti, expires_at)


def test_a_nonce_is_good_once_for_each_subject(store: SqlStore) -> None:
    assert store.use_nonces([nonce("a", "x")]) == [True]
    assert store.use_nonces([nonce("a", "x")]) == [False]
    assert store.use_nonces([nonce("a", "X"), nonce("b", "x")]) == [True, True]


def test_one_that_was_used_before_costs_the_others_nothing(store: SqlStore) -> None:
    store.use_nonces([nonce("a", "x")])
    several = [nonce("a", "y"), nonce("a", "x"), nonce("b", "y"), nonce("a", "y")]
    assert store.use_nonces(several) == [True, False, True, False]
    assert store.use_nonces(several) == [False] * 4


def test_of_many_at_once_one_may_use_it(store: SqlStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: store.use_nonces([nonce("a", "x")])[0], range(8))) == 1


def test_nonces_are_forgotten_when_they_have_expired(store: SqlStore) -> None:
    store.use_nonces([nonce("a", "x", NOW), nonce("a", "y")])
    assert store.forget_nonces(now=NOW) == 0
    assert store.forget_nonces(now=LATER) == 1
    assert store.use_nonces([nonce("a", "y")]) == [False]
