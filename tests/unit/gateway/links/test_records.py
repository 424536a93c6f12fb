"""A worker whose checks of logs are in vain waits longer for the next than they have taken; others do not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from airflow_edge.gateway.links import records
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.links.records import Records
from airflow_edge.protocol.messages import LogEnd
from airflow_edge.room import SharedRoom
from airflow_edge.store.logs.logs import LogProgress

LIAR, HONEST = uuid4(), uuid4()
END = LogEnd(job_id=str(uuid4()), assignment=1, size=3, sha256="0" * 64)


class Store:
    """Finds what the liar says wrong, and what everybody else says right."""

    def __init__(self) -> None:
        self.checked: list[UUID] = []
        self.logs = SimpleNamespace(finish=None)

    async def run(self, _: object, worker_id: UUID, *__: object, **___: object) -> LogProgress:
        self.checked.append(worker_id)
        await asyncio.sleep(0.001)
        return LogProgress(0, complete=worker_id != LIAR)


@pytest.mark.attack(14)
async def test_wrong_ends_of_logs_keep_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PENALTY", 1_000_000)
    store = Store()
    mine = Records(cast("Any", store), cast("Any", store), cast("Any", None), Demand(), 0, 0, SharedRoom(1, 1))
    await mine.finish_log(LIAR, END)
    again = [asyncio.create_task(mine.finish_log(LIAR, END)) for _ in range(10)]
    await asyncio.sleep(0)
    for _ in range(3):
        assert await mine.finish_log(HONEST, END) == LogProgress(0, complete=True)
    assert store.checked == [LIAR, HONEST, HONEST, HONEST]
    for task in again:
        task.cancel()
    await asyncio.gather(*again, return_exceptions=True)
