"""Messages of a link are worked on in order, and what waits takes up room that is given back."""

from __future__ import annotations

import asyncio

from airflow_edge.gateway.links.lane import Lane, LinkTasks
from airflow_edge.room import Room


def fail(error: BaseException) -> None:
    raise error


async def test_what_waits_takes_up_room_of_all_until_it_is_worked_on() -> None:
    """Of three messages two fit; the third is taken when the first is done, and none is left behind at the end."""
    room, done, go_on = Room(20), list[int](), asyncio.Semaphore(0)

    async def work(messages: list[int]) -> None:
        await go_on.acquire()
        done.extend(messages)

    tasks = LinkTasks(fail)
    lane = Lane[int]("lane", tasks, work, most_waiting=10, taken=lambda _: room.taken(10))
    await lane.put(1)
    await lane.put(2)
    third = asyncio.create_task(lane.put(3))
    await asyncio.sleep(0)
    assert not third.done()
    go_on.release()
    async with asyncio.timeout(10):
        await third
    assert done == [1]
    await tasks.cancel()
    await lane.clear()
    assert room.is_empty


async def test_what_failed_takes_up_nothing() -> None:
    room, failed = Room(20), asyncio.get_running_loop().create_future()

    async def work(_: list[int]) -> None:
        raise ValueError

    lane = Lane[int]("lane", LinkTasks(failed.set_result), work, most_waiting=10, taken=lambda _: room.taken(10))
    await lane.put(1)
    async with asyncio.timeout(10):
        assert isinstance(await failed, ValueError)
    assert room.is_empty
