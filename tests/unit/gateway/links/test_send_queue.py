from __future__ import annotations

import asyncio

from airflow_edge.gateway.links.send_queue import Outbox


async def test_frames_leave_in_the_order_in_which_they_came():
    outbox = Outbox()
    taker = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    assert outbox.put(b"one")
    assert outbox.put(b"two")
    assert [await taker, await outbox.get()] == [b"one", b"two"]
    assert outbox.empty


async def test_it_holds_so_many_frames_and_so_many_bytes():
    outbox = Outbox(most_frames=2, most_bytes=10)
    assert outbox.put(b"12345")
    assert not outbox.put(b"123456")
    assert outbox.put(b"12345")
    assert not outbox.put(b"")
    await outbox.get()
    assert outbox.put(b"12345")
