from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.room import Room

SIZE = 100


@given(st.lists(st.tuples(st.integers(0, 130), st.integers(0, 3), st.booleans()), max_size=20))
def test_no_more_is_ever_taken_up_and_everybody_who_stays_gets_in(takers: list[tuple[int, int, bool]]) -> None:
    """In whatever order they come and go, also those who give up while they wait or just as they are let in."""
    taken = most = 0
    served: list[int] = []

    async def take(room: Room, number: int, size: int, turns: int) -> None:
        nonlocal taken, most
        async with room.taken(size):
            served.append(number)
            taken += min(size, SIZE)
            most = max(most, taken)
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                taken -= min(size, SIZE)

    async def all_of_them() -> Room:
        room = Room(SIZE)
        tasks = []
        for number, (size, turns, gives_up) in enumerate(takers):
            tasks.append(asyncio.create_task(take(room, number, size, turns)))
            await asyncio.sleep(0)
            if gives_up:
                tasks[-1].cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)
        return room

    assert asyncio.run(all_of_them()).is_empty
    assert most <= SIZE
    assert {number for number, (_, _, gives_up) in enumerate(takers) if not gives_up} <= set(served)


async def test_nobody_gets_ahead_of_who_waits_longer() -> None:
    room, order = Room(SIZE), list[str]()

    async def take(name: str, size: int) -> None:
        async with room.taken(size):
            order.append(name)

    async with asyncio.TaskGroup() as together, room.taken(60):
        for name, size in (("large", 90), ("small", 10)):
            together.create_task(take(name, size))
            await asyncio.sleep(0)
        assert order == []
    assert order == ["large", "small"]
