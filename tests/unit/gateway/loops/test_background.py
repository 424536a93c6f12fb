from __future__ import annotations

import asyncio
import logging

import pytest

from airflow_edge.gateway.loops import background
from airflow_edge.gateway.loops.background import Background


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.001)


async def test_a_loop_that_crashes_or_ends_is_logged_and_begun_again(caplog):
    runs, enough = 0, asyncio.Event()

    async def loop():
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("no luck")
        if runs == 3:
            enough.set()
            await asyncio.Event().wait()

    loops = Background()
    with caplog.at_level(logging.ERROR):
        loops.start("test loop", loop)
        await asyncio.wait_for(enough.wait(), 5)
        await loops.stop()
    assert "The test loop of the edge gateway failed" in caplog.text
    assert "no luck" in caplog.text
    assert "ended by itself" in caplog.text


async def test_stopping_waits_for_the_ends():
    ended = []

    async def loop():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    loops = Background()
    loops.start("test loop", loop)
    await asyncio.sleep(0)
    await loops.stop()
    assert ended == [True]
