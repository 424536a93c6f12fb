from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.room import NoRoomError, Room, SharedRoom

SIZE = 100


@given(st.lists(st.tuples(st.integers(0, 130), st.integers(0, 3), st.booleans(), st.integers(0, 2)), max_size=20))
def test_no_more_is_ever_taken_up_and_everybody_who_stays_gets_in(takers: list[tuple[int, int, bool, int]]) -> None:
    """In whatever order they come and go, also those who give up while they wait or just as they are let in."""
    taken = most = 0
    served: list[int] = []

    async def take(room: Room, number: int, size: int, turns: int, who: int) -> None:
        nonlocal taken, most
        async with room.taken(size, who=who):
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
        for number, (size, turns, gives_up, who) in enumerate(takers):
            tasks.append(asyncio.create_task(take(room, number, size, turns, who)))
            await asyncio.sleep(0)
            if gives_up:
                tasks[-1].cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)
        return room

    assert asyncio.run(all_of_them()).is_empty
    assert most <= SIZE
    assert {number for number, (_, _, gives_up, _) in enumerate(takers) if not gives_up} <= set(served)


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


@contextmanager
def no_room() -> Iterator[None]:
    with pytest.raises(NoRoomError):
        yield


async def test_who_finds_no_room_in_time_is_told_and_leaves_nothing_behind() -> None:
    room = Room(SIZE)
    async with room.taken(60):
        with no_room():
            async with room.taken(60, patience=0.01):
                pass
        async with room.taken(40, patience=0):
            pass
    assert room.is_empty


async def test_who_comes_often_does_not_keep_out_who_comes_now_and_then() -> None:
    """Ten of the greedy one wait, and the other comes last."""
    room, order = Room(SIZE), list[str]()

    async def take(who: str) -> None:
        async with room.taken(SIZE, who=who):
            order.append(who)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as together:
        for who in (*["greedy"] * 10, "honest"):
            together.create_task(take(who))
        await asyncio.sleep(0)
    assert order[:3] == ["greedy", "honest", "greedy"]


async def test_nobody_waits_for_who_has_had_his_share() -> None:
    """One takes up half of it and wants more; half is left for all others."""
    room = SharedRoom(SIZE, SIZE // 2)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(room.taken(SIZE, who="greedy"))
        with no_room():
            await stack.enter_async_context(room.taken(1, who="greedy", patience=0.01))
        await stack.enter_async_context(room.taken(SIZE // 2, who="honest", patience=0))
        with no_room():
            await stack.enter_async_context(room.taken(1, who="third", patience=0.01))
    assert room.is_empty
