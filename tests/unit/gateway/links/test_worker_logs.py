from __future__ import annotations

import asyncio

from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.links.worker_logs import BURST, BYTES_PER_SECOND, COST, MOST_WAITING, WorkerLogLane
from airflow_edge.protocol.messages import WorkerLog


def batch(first: int, size: int = 1) -> WorkerLog:
    return WorkerLog(run="r", first=first, size=size, data=bytes(size))


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_what_comes_too_fast_is_dropped_and_later_there_is_room_again() -> None:
    kept: list[int] = []

    async def keep(one: WorkerLog) -> None:
        kept.append(len(one.data) + COST)

    lane = WorkerLogLane(keep)
    running = asyncio.create_task(lane.run())
    size = 64 * 1024
    now = 5.0
    for number in range(100):
        lane.put(batch(number, size), now=now)
        await settled()
    assert BURST - size - COST <= sum(kept) <= BURST
    before = len(kept)
    for second in range(1, 61):
        for number in range(20):
            lane.put(batch(number, size), now=now + second)
            await settled()
    assert 60 * BYTES_PER_SECOND - size - COST <= sum(kept[before:]) <= 61 * BYTES_PER_SECOND + size
    running.cancel()


async def test_nobody_waits_for_a_store_that_does_not_answer() -> None:
    answers = asyncio.Event()
    kept: list[int] = []

    async def keep(one: WorkerLog) -> None:
        await answers.wait()
        kept.append(one.first)
        if one.first == 0:
            raise StoreUnavailableError("away")

    lane = WorkerLogLane(keep)
    running = asyncio.create_task(lane.run())
    lane.put(batch(0), now=0)
    await settled()
    for number in range(1, 100):
        lane.put(batch(number), now=0)
    answers.set()
    await settled()
    assert kept == list(range(MOST_WAITING + 1))
    running.cancel()
