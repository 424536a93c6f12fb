from __future__ import annotations

from datetime import timedelta

from airflow_edge.store.store import Store
from airflow_edge.store.workers.attempts import REMEMBERED, EnrollAttempt
from tests.contract.world import NOW


def attempt(number: int) -> EnrollAttempt:
    at = NOW + timedelta(seconds=number)
    return EnrollAttempt(at=at, name=f"press-{number}", token_id=None, result="refused", text="why")


def test_the_last_attempts_are_remembered_newest_first(store: Store) -> None:
    for number in range(REMEMBERED + 5):
        store.enroll_attempts.note(attempt(number))
    found = store.enroll_attempts.since(None)
    assert [one.name for one in found] == [f"press-{number}" for number in reversed(range(5, REMEMBERED + 5))]
    assert store.enroll_attempts.since(NOW + timedelta(seconds=REMEMBERED + 4)) == [attempt(REMEMBERED + 4)]
