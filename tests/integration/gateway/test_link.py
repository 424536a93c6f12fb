"""A link from its beginning to its end, over real sockets."""

from __future__ import annotations

from airflow_edge.protocol.messages import Accepted, Ended, Goodbye, Offer, Released


async def test_a_job_travels_from_the_queue_to_its_end(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway) as link:
        assert link.welcome.name == site.name
        assert link.welcome.queues == (queue,)
        job = centre.queue(queue, workload='{"täsk":1}', slots=2)
        offer = await link.get(Offer)
        assert (offer.job_id, offer.assignment, offer.slots) == (str(job.id), 1, 2)
        assert offer.workload.decode() == '{"täsk":1}'
        await link.say(Accepted(job_id=offer.job_id, assignment=1))
        await link.acknowledged()
        assert centre.job(job.id).state == "running"
        await link.say(
            Released(job_id=offer.job_id, assignment=1), Ended(job_id=offer.job_id, assignment=1, exit_code=0)
        )
        await link.acknowledged()
        assert centre.job(job.id).state == "succeeded"
        await link.say(Goodbye(reason="done"))
        assert await link.closed() == (1000, "goodbye")
