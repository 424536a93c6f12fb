from __future__ import annotations

from typing import Any

from airflow_edge.gateway.access.attempts import A_MINUTE, Attempts
from airflow_edge.gateway.database.calls import StoreUnavailableError


def attempts_in(store: Any) -> Attempts:
    calls: Any = Calls()
    return Attempts(store, calls)


class Store:
    def __init__(self, error=None):
        self.noted = []
        self._error = error

    def note(self, attempt):
        if self._error is not None:
            raise self._error
        self.noted.append(attempt)


class Calls:
    async def run(self, function, *args):
        return function(*args)


async def test_refusals_are_bounded_and_whoever_is_enrolled_is_remembered_all_the_same():
    store = Store()
    attempts = attempts_in(store)
    for number in range(3 * A_MINUTE):
        await attempts.note(f"press-{number}", None, "refused", "why")
    refused = len(store.noted)
    assert A_MINUTE <= refused <= A_MINUTE + 2
    await attempts.note("press", None, "enrolled", "for the queues plc")
    assert len(store.noted) == refused + 1


async def test_a_database_that_fails_keeps_nobody_out():
    await attempts_in(Store(StoreUnavailableError())).note("press", None, "enrolled", "")
