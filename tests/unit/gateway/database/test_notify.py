from __future__ import annotations

import asyncio

from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.demand import Demand


async def test_others_are_told_only_where_somebody_may_listen():
    told: list[str] = []

    async def notify(payload: str) -> None:
        told.append(payload)

    demand = Demand()
    demand.begin_look()
    signal = QueueSignal(notify, demand)
    signal.tell()
    await asyncio.wait_for(demand.awake.wait(), 5)
    assert demand.all_due
    assert told == []
