from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from airflow_edge.store.sql import SqlStore
from tests.contract.world import NOW

LATER = NOW + timedelta(minutes=3)


def test_a_nonce_is_good_once_for_each_subject(store: SqlStore) -> None:
    assert store.use_nonce("a", "x", expires_at=LATER)
    assert not store.use_nonce("a", "x", expires_at=LATER)
    assert store.use_nonce("a", "X", expires_at=LATER)
    assert store.use_nonce("b", "x", expires_at=LATER)


def test_of_many_at_once_one_may_use_it(store: SqlStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: store.use_nonce("a", "x", expires_at=LATER), range(8))) == 1


def test_nonces_are_forgotten_when_they_have_expired(store: SqlStore) -> None:
    store.use_nonce("a", "x", expires_at=NOW)
    store.use_nonce("a", "y", expires_at=LATER)
    assert store.forget_nonces(now=NOW) == 0
    assert store.forget_nonces(now=LATER) == 1
    assert not store.use_nonce("a", "y", expires_at=LATER)
