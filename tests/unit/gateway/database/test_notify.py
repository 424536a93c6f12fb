from __future__ import annotations

import asyncio

from airflow_edge.gateway.database.notify import QueueSignal


async def test_others_are_told_only_where_somebody_may_listen():
    told: list[str] = []

    async def notify(payload: str) -> None:
        told.append(payload)

    signal = QueueSignal(notify)
    signal.tell()
    await asyncio.wait_for(signal.wait(60), 5)
    assert told == []
