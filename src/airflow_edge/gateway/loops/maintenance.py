"""Ends maintenance that was asked for until a time. Every gateway looks; the store lets one of them give the order."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime

import attrs

from airflow_edge.admin.audit import OrderOutcome, record
from airflow_edge.admin.config import session
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.rules.orders import WorkerOrder
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

LOOK_INTERVAL = 2.0


@attrs.frozen
class MaintenanceEnds:
    """The watch of one gateway process over the ends of maintenance."""

    _store: Store
    _calls: StoreCalls

    async def look(self) -> None:
        """Order those out of maintenance whose time is over, linked or not."""
        now = datetime.now(UTC)
        due = await self._calls.run(self._store.orders.maintenance_due, now)
        for worker_id, until in due.items():
            order = await self._calls.run(self._store.orders.end_maintenance, worker_id, until, now=now)
            if order is not None:
                # The order is given; that its entry is missing was logged.
                with suppress(StoreUnavailableError):
                    await self._calls.run(self._note, order)

    def _note(self, order: WorkerOrder) -> None:
        worker = self._store.workers.get(order.worker_id)
        name = worker.name if worker is not None else str(order.worker_id)
        log.info("The maintenance of worker '%s' is over: it %s", name, order.asked_by)
        outcome = OrderOutcome(worker=name, result="waiting", order_id=order.id)
        with session() as airflow:
            record(airflow, order.kind, by=order.asked_by, wish={"asked": [name]}, outcomes=[outcome])
