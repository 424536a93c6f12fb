from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from airflow_edge.store.store import Store
from airflow_edge.store.workers.nonces import Nonce
from tests.contract.world import NOW

LATER = NOW + timedelta(minutes=3)


def nonce(subject: str, jti: str, expires_at: datetime = LATER) -> Nonce:
    return Nonce(subject, jti, expires_at)


def test_a_nonce_is_good_once_for_each_subject(store: Store) -> None:
    assert store.nonces.use([nonce("a", "x")]) == [True]
    assert store.nonces.use([nonce("a", "x")]) == [False]
    assert store.nonces.use([nonce("a", "X"), nonce("b", "x")]) == [True, True]


def test_one_that_was_used_before_costs_the_others_nothing(store: Store) -> None:
    store.nonces.use([nonce("a", "x")])
    several = [nonce("a", "y"), nonce("a", "x"), nonce("b", "y"), nonce("a", "y")]
    assert store.nonces.use(several) == [True, False, True, False]
    assert store.nonces.use(several) == [False] * 4


def test_of_many_at_once_one_may_use_it(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: store.nonces.use([nonce("a", "x")])[0], range(8))) == 1


def test_nonces_are_forgotten_when_they_have_expired(store: Store) -> None:
    store.nonces.use([nonce("a", "x", NOW), nonce("a", "y")])
    assert store.nonces.forget_expired(now=NOW, limit=9) == 0
    assert store.nonces.forget_expired(now=LATER, limit=9) == 1
    assert store.nonces.use([nonce("a", "y")]) == [False]
