"""Deletes what nobody needs any more. Every process does all of it; each step may be done twice without harm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs

from airflow_edge.gateway.access.authentication import SeenTokens
from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.links.registry import Links
from airflow_edge.rules.metrics import minute_of
from airflow_edge.store.store import Store

INTERVAL = 60.0
METRICS_INTERVAL = 900.0
AT_ONCE = 1_000
LOGS_AT_ONCE = 200
"""Rows in one transaction."""
ORDERS_KEPT = timedelta(days=30)
"""How long answered orders can be asked about."""
REQUESTS_KEPT = timedelta(hours=1)
"""How long what is under way between gateways is kept, which ends in seconds: their clocks may differ by as much."""
ENROLL_TOKENS_KEPT = timedelta(days=30)
"""How long one that opens nothing any more is listed, and why not can be told."""


@attrs.frozen
class Purge:
    """The purge of one gateway process."""

    _store: Store
    _calls: StoreCalls
    _links: Links
    _seen: SeenTokens
    _config: GatewayConfig

    async def forget(self) -> None:
        """Forget tokens of all kinds, conversations and answered orders that are old."""
        now = datetime.now(UTC)
        self._links.forget_parked(asyncio.get_running_loop().time())
        self._seen.forget_expired(now.timestamp())
        await self._while_full(lambda: self._store.nonces.forget_expired(now=now, limit=AT_ONCE))
        old = now - REQUESTS_KEPT
        await self._while_full(lambda: self._store.passed_requests.forget(before=old, limit=AT_ONCE))
        await self._while_full(lambda: self._store.orders.purge(before=now - ORDERS_KEPT, limit=AT_ONCE))
        await self._while_full(lambda: self._store.events.purge(before=now - ORDERS_KEPT, limit=AT_ONCE, now=now))
        await self._while_full(lambda: self._store.enroll_tokens.purge(before=now - ENROLL_TOKENS_KEPT, limit=AT_ONCE))

    async def purge_jobs(self) -> None:
        """Finish what schedulers that are gone have left, and delete jobs that ended long enough ago."""
        now = datetime.now(UTC)
        while await self._calls.run(self._store.orphaned_jobs.finish, now=now, limit=AT_ONCE) >= AT_ONCE:
            pass
        await self._calls.run(self._store.refusals.fail_hopeless, now=now, limit=AT_ONCE)
        await self._while_full(
            lambda: self._store.jobs.purge(
                succeeded_before=now - self._config.job_success_purge,
                failed_before=now - self._config.job_fail_purge,
                limit=AT_ONCE,
            )
        )

    async def purge_worker_logs(self) -> None:
        """Delete what is old of the workers' own logs."""
        before = datetime.now(UTC) - self._config.worker_log_purge
        await self._while_full(lambda: self._store.worker_logs.purge(before=before, limit=AT_ONCE))

    async def purge_policy_uses(self) -> None:
        """Delete what is old of what was counted of tasks' calls."""
        before = (datetime.now(UTC) - self._config.policy_use_purge).date()
        await self._while_full(lambda: self._store.policy_uses.purge(before=before, limit=AT_ONCE))

    async def purge_metrics(self) -> None:
        """Delete measurements that are old enough."""
        oldest = datetime.now(UTC) - self._config.metrics_retention
        await self._calls.run(self._store.metrics.purge, before=minute_of(oldest.timestamp()))

    async def expire_logs(self) -> None:
        """Mark tasks' logs as deleted that are old enough."""
        if (retention := self._config.log_retention) is not None:
            now = datetime.now(UTC)
            await self._while_full(
                lambda: self._store.log_upkeep.expire(before=now - retention, now=now, limit=LOGS_AT_ONCE), LOGS_AT_ONCE
            )

    async def _while_full(self, purge: Callable[[], int], at_once: int = AT_ONCE) -> None:
        while await self._calls.run(purge) == at_once:
            pass
