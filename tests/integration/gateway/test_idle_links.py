"""What a worker that has nothing to do costs the process that it is linked to."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.integration.gateway.worker import at_work
from tests.integration.gateway.world import wait_until

pytestmark = pytest.mark.one_database

WORKERS = 20


async def test_an_idle_linked_worker_costs_two_tasks(centre):
    with centre.gateway_for_links() as gateway:
        before = len(gateway.tasks())
        async with AsyncExitStack() as stack:
            queue = centre.queue_name()
            for _ in range(WORKERS):
                await stack.enter_async_context(at_work(gateway.url, centre.trusted_site(queue)))
            await wait_until(lambda: len(gateway.tasks()) - before, lambda count: count == 2 * WORKERS)
            # A job makes lanes begin, and they end when it has ended.
            job = centre.queue(queue)
            await centre.wait_for_state(job.id, "succeeded")
            await wait_until(lambda: len(gateway.tasks()) - before, lambda count: count == 2 * WORKERS)
        await wait_until(lambda: len(gateway.tasks()), lambda count: count == before)
