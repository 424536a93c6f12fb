"""Gives up test jobs that their workers do not take. Every gateway looks; each is cancelled once."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import attrs

from airflow_edge.admin.fleet import worker_facts
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.rules.explanation.testing import given_up
from airflow_edge.rules.liveness import Patience
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

LOOK_INTERVAL = 2.0


@attrs.frozen
class UntakenTests:
    """The watch of one gateway process over test jobs that wait for their workers."""

    _store: Store
    _calls: StoreCalls
    _patience: Patience

    async def look(self) -> None:
        """Cancel those whose time is over, or whose worker is gone for good."""
        now = datetime.now(UTC)
        for job in await self._calls.run(self._store.fleet.waiting_tests):
            glance = await self._calls.run(self._store.fleet.glance_at, job.worker)
            worker = None if glance is None else worker_facts(glance, self._patience)
            reason = given_up(job, worker, now)
            if not reason:
                continue
            if await self._calls.run(self._store.worker_tests.cancel, job.id, reason, now=now):
                log.info("Test job %s is cancelled: %s", job.id, reason)
