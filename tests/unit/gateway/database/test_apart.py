"""One bad part never stops the others, and an outage is nobody's fault."""

from __future__ import annotations

import pytest

from airflow_edge.gateway.database.apart import each_apart
from airflow_edge.gateway.database.calls import StoreRefusedError, StoreUnavailableError


class Statement:
    """Does what it is asked, all or nothing; notes what it was asked together."""

    def __init__(self, bad, error):
        self.bad, self.error = set(bad), error
        self.asked, self.done = [], []

    async def __call__(self, parts):
        self.asked.append(list(parts))
        if self.bad.intersection(parts):
            raise self.error
        self.done += parts


@pytest.mark.parametrize("error", [ValueError("NUL"), StoreRefusedError("no"), KeyError("x")])
@pytest.mark.parametrize("bad", [(), (0,), (3, 6), tuple(range(7))])
async def test_the_others_go_on_without_those_that_fail(bad, error):
    statement = Statement(bad, error)
    assert await each_apart(statement, range(7)) == [(one, error) for one in bad]
    assert statement.done == [one for one in range(7) if one not in bad]


async def test_one_bad_part_among_many_is_found_in_few_statements():
    statement = Statement([700], ValueError("NUL"))
    assert [part for part, _ in await each_apart(statement, range(1000))] == [700]
    assert len(statement.asked) <= 2 * 11


async def test_an_outage_is_raised_at_once():
    statement = Statement([3], StoreUnavailableError("away"))
    with pytest.raises(StoreUnavailableError):
        await each_apart(statement, range(7))
    assert statement.asked == [list(range(7))]


async def test_nothing_is_asked_for_nobody():
    statement = Statement([], ValueError("x"))
    assert await each_apart(statement, []) == []
    assert statement.asked == []
