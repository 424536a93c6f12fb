"""Test jobs at a gateway: offered to one worker, which gets nothing of Airflow with them, and given up in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from airflow_edge.protocol.messages import Accepted, Ended, Offer
from airflow_edge.rules.acts.testing import WITHIN
from tests.integration.gateway.site import Site
from tests.integration.gateway.world import Centre

pytestmark = pytest.mark.one_database


def asked(centre: Centre, site: Site, *, ago: timedelta = timedelta(0)) -> UUID:
    """A test job that somebody asked for then."""
    answer = centre.store.worker_tests.ask(site.id, now=datetime.now(UTC) - ago)
    assert answer is not None
    assert answer.job_id is not None, answer
    return answer.job_id


async def test_it_goes_to_its_worker_though_others_are_free_and_opens_nothing_of_airflow(centre: Centre) -> None:
    queue = centre.queue_name()
    site, other = await centre.site(queue), await centre.site(queue)
    async with (
        other.link(centre.gateway, concurrency=64) as elsewhere,
        site.link(centre.gateway) as link,
    ):
        job_id = asked(centre, site)
        offer = await link.get(Offer)
        assert (offer.job_id, offer.kind, offer.queue, offer.slots) == (str(job_id), "test", "", 1)
        assert offer.workload == b"{}"
        await link.say(Accepted(job_id=offer.job_id, assignment=1))
        job = f"{offer.job_id}:1"
        for method, path in (
            ("GET", "/variables/secret"),
            ("GET", "/connections/plant"),
            ("PATCH", f"/task-instances/{job_id}/run"),
            ("PATCH", f"/callbacks/{job_id}/run"),
            ("GET", "/xcoms/d/r/t/k"),
            ("GET", "/health"),
        ):
            answer: httpx.Response = await site.call(centre.gateway, method, path, job)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_yours"), path
        await link.say(Ended(job_id=offer.job_id, assignment=1, exit_code=0))
        ended = await centre.wait_for_state(job_id, "succeeded")
        assert (ended.worker_id, ended.owner) == (site.id, None)
        # What the other one is offered first is its own queue's.
        task = centre.queue(queue, workload_id=centre.task_instance(queue))
        link_or_elsewhere = await elsewhere.get(Offer)
        assert link_or_elsewhere.job_id == str(task.id)


async def test_at_a_worker_that_is_full_it_waits_for_the_next_free_slot(centre: Centre) -> None:
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway, concurrency=1) as link:
        centre.queue(queue, workload_id=centre.task_instance(queue))
        first = await link.get(Offer)
        await link.say(Accepted(job_id=first.job_id, assignment=1))
        centre.queue(queue, workload_id=centre.task_instance(queue), priority_weight=1000)
        job_id = asked(centre, site)
        await link.say(Ended(job_id=first.job_id, assignment=1, exit_code=0))
        assert (await link.get(Offer)).job_id == str(job_id)


async def test_not_taken_in_time_it_is_given_up_and_what_kept_the_worker_is_said(centre: Centre) -> None:
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway, concurrency=1) as link:
        centre.queue(queue, workload_id=centre.task_instance(queue))
        first = await link.get(Offer)
        await link.say(Accepted(job_id=first.job_id, assignment=1))
        await centre.wait_for_state(first.job_id, "running")
        job_id = asked(centre, site, ago=WITHIN)
        job = await centre.wait_for_state(job_id, "cancelled")
        name = f"worker '{site.name}'"
        assert job.reason == f"{name} did not take it within 5 minutes: its only slot is taken"
        again = asked(centre, site)
        assert again != job_id
        assert centre.job(again).state == "queued"


async def test_it_ends_with_its_worker(centre: Centre) -> None:
    site = await centre.site(centre.queue_name())
    async with site.link(centre.gateway, concurrency=1) as link:
        job_id = asked(centre, site)
        await link.get(Offer)
        assert centre.store.workers.revoke(site.name, now=datetime.now(UTC))
        job = await centre.wait_for_state(job_id, "cancelled")
        assert job.reason == "its worker was revoked"
