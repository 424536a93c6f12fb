"""Jobs with long workloads at a worker that reads slowly: what it has not read is bounded, and the others wait."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy.orm import sessionmaker

from airflow_edge.protocol.messages import Accepted, Offer
from airflow_edge.store.tables import JobRow
from tests.integration.gateway.world import Centre, GatewayServer, links_only, wait_until

JOBS = 5
WORKLOAD = '{"args": "' + "x" * (7_500_000) + '"}'
"""As long as they may be; together they are more than may wait to be sent to a worker."""


@pytest.mark.one_database
async def test_offers_wait_in_the_database_while_the_worker_does_not_read(engine):
    with GatewayServer(links_only(sessionmaker(engine), heartbeat_interval=60.0, offer_timeout=300.0)) as server:
        centre = Centre(engine, server.url)
        queue = centre.queue_name()
        site = await centre.site(queue)
        async with site.link(server.url, concurrency=JOBS) as link:
            link.connection.transport.pause_reading()
            jobs = [centre.queue(queue, workload=WORKLOAD) for _ in range(JOBS)]
            await wait_until(lambda: _states(centre), lambda states: states["leased"] > 0)
            seen: Counter[str] = Counter()
            link.connection.transport.resume_reading()
            while len(seen) < JOBS:
                offer = await link.get(Offer)
                seen[offer.job_id] += 1
                assert len(offer.workload) == len(WORKLOAD)
                assert _states(centre)["queued"] >= JOBS - len(seen) - 3, "more than there is room for were handed out"
                await link.say(Accepted(job_id=offer.job_id, assignment=offer.assignment))
            assert seen == Counter({str(job.id): 1 for job in jobs})
            for job in jobs:
                assert (await centre.wait_for_state(job.id, "running")).assignment == 1
            assert link.connection.close_code is None


def _states(centre: Centre) -> Counter[str]:
    with centre.sessions() as session:
        return Counter(str(state) for (state,) in session.query(JobRow.state))
