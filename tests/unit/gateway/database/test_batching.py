from __future__ import annotations

import asyncio

import pytest

from airflow_edge.gateway.database import batching
from airflow_edge.gateway.database.batching import Coalesced
from airflow_edge.gateway.database.calls import StoreRefusedError, StoreUnavailableError


class Oracle:
    """Doubles numbers, when it is let; notes what it was asked together."""

    def __init__(self):
        self.asked = []
        self.called, self.open = asyncio.Event(), asyncio.Event()
        self.errors = {}
        self.coalesced = Coalesced(self.answer)

    async def answer(self, questions):
        self.asked.append(list(questions))
        self.called.set()
        await self.open.wait()
        for question in questions:
            if question in self.errors:
                raise self.errors[question]
        return [2 * question for question in questions]

    async def ask(self, *questions):
        """Ask all at once while a call is under way; give the answers, errors among them."""
        tasks = [asyncio.create_task(self.coalesced.ask(question)) for question in questions]
        await self.called.wait()
        self.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_those_who_ask_during_one_call_share_the_next():
    oracle = Oracle()
    first = asyncio.create_task(oracle.coalesced.ask(1))
    await oracle.called.wait()
    assert await oracle.ask(2, 3, 2) == [4, 6, 4]
    assert await first == 2
    assert oracle.asked == [[1], [2, 3, 2]]
    assert await oracle.coalesced.ask(5) == 10


async def test_no_call_is_too_large(monkeypatch):
    monkeypatch.setattr(batching, "MOST_AT_ONCE", 2)
    oracle = Oracle()
    assert await oracle.ask(1, 2, 3, 4, 5) == [2, 4, 6, 8, 10]
    assert oracle.asked == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize("error", [StoreRefusedError("no such thing"), ValueError("NUL")])
async def test_what_one_asks_is_not_the_others_loss(error):
    oracle = Oracle()
    oracle.errors[2] = error
    assert await oracle.ask(1, 2, 3) == [2, oracle.errors[2], 6]


async def test_an_outage_is_everybodys():
    oracle, error = Oracle(), StoreUnavailableError("away")
    oracle.errors[2] = error
    assert await oracle.ask(1, 2) == [error, error]
    assert oracle.asked == [[1, 2]]
    assert await oracle.coalesced.ask(3) == 6


async def test_one_who_goes_away_takes_nothing_from_the_others():
    oracle = Oracle()
    leaving, staying = (asyncio.create_task(oracle.coalesced.ask(number)) for number in (1, 2))
    await oracle.called.wait()
    leaving.cancel()
    oracle.open.set()
    assert await staying == 4
    assert leaving.cancelled()
