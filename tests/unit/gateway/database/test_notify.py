from __future__ import annotations

import asyncio

import pytest

from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.demand import Demand


@pytest.mark.parametrize("connected", [True, False])
async def test_what_is_back_in_the_queue_is_looked_for_where_no_notification_says_where(connected):
    demand = Demand()
    demand.begin_look()
    signal = QueueSignal(lambda payload: asyncio.sleep(0), demand)
    signal.connected = connected
    signal.put_back()
    assert demand.all_due is demand.awake.is_set() is not connected
