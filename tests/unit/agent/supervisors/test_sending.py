from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from airflow_edge.agent.supervisors.sending import Outbox
from airflow_edge.protocol.local import StartJob, encode_local
from airflow_edge.site.pipes import Inbox, emptied, filled


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_all_arrives_in_order_with_its_secrets_however_slowly_it_is_read() -> None:
    ours, its = socket.socketpair(socket.AF_UNIX)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    its.setblocking(False)
    outbox, inbox = Outbox(ours), Inbox()
    wanted = [str(number) for number in range(200)]
    for name in wanted:
        order = StartJob(job_id=name, assignment=1, folder="/jobs/" + "x" * 500, piped=True)
        outbox.send(encode_local(order), filled(name))
    got: list[tuple[str, str]] = []
    with ours, its:
        async with asyncio.timeout(30):
            while len(got) < len(wanted):
                try:
                    got += [
                        (order.job_id, emptied(pipe))
                        for order, pipe in inbox.receive(its)
                        if isinstance(order, StartJob) and pipe is not None
                    ]
                except BlockingIOError:
                    await asyncio.sleep(0)
        outbox.close()
    assert got == [(name, name) for name in wanted]


async def test_nothing_is_left_open_of_what_nobody_takes() -> None:
    before = descriptors()
    ours, its = socket.socketpair(socket.AF_UNIX)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    outbox = Outbox(ours)
    for _ in range(50):
        outbox.send(bytes(1000), filled("secret"))
    assert descriptors() > before + 3
    its.close()
    # The error of the first that is sent now closes the rest, also of what waits.
    async with asyncio.timeout(30):
        while descriptors() > before + 1:  # noqa: ASYNC110 - it is the loop itself that closes them
            await asyncio.sleep(0)
    outbox.send(b"too late", filled("secret"))
    outbox.close()
    ours.close()
    assert descriptors() == before
