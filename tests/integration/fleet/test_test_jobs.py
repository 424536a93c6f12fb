"""A test job at a real agent: it goes the way of every job, and an old agent is never offered one."""

from __future__ import annotations

from airflow_edge.admin.audit import OrderOutcome
from tests.integration.fleet.fleet import FleetWorker, linked


def ask(worker: FleetWorker) -> OrderOutcome:
    return worker.fleet.test(worker.row())


async def test_a_test_job_runs_at_the_agent_and_its_end_is_known(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        asked = ask(worker)
        assert asked.result == "waiting"
        job_id = str(asked.job_id)
        await worker.runtime.until(lambda: job_id in worker.running, patience=30)
        assert ask(worker).job_id == asked.job_id
        await worker.finish(job_id)
        assert ask(worker).job_id != asked.job_id


async def test_in_maintenance_it_is_refused_with_what_to_do_and_asked_for_again_afterwards(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        assert await worker.order("maintenance", "new disk") == ("done", "")
        refused = ask(worker)
        assert (refused.result, refused.job_id) == ("refused", None)
        assert "take it out first" in refused.detail
        assert await worker.order("exit maintenance") == ("done", "")
        await worker.becomes("idle")
        await worker.runtime.until(lambda: ask(worker).job_id is not None, patience=30)


async def test_it_outlives_a_crash_of_the_agent(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        job_id = str(ask(worker).job_id)
        await worker.runtime.until(lambda: job_id in worker.running, patience=30)
        await centre.wait_for_state(job_id, "running")
        await worker.crash()
        await worker.start()
        await worker.becomes("running")
        await worker.finish(job_id)
