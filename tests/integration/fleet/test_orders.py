"""Orders to workers, with a real agent and a real gateway: what the centre shows at each step."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.fleet.fleet import HEARTBEAT, enrolled, linked


@pytest.mark.parametrize("tasks", [0, 1])
async def test_into_maintenance_and_out_of_it(centre, tmp_path, tasks):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(tasks)
        began = time.monotonic()
        assert await worker.order("maintenance", "new disk") == ("done", "")
        assert time.monotonic() - began < 5
        await worker.becomes("maintenance pending" if tasks else "maintenance mode", "new disk")
        assert (await worker.status())["maintenance_comment"] == "new disk"
        assert await worker.order("maintenance comment", "an old one") == ("done", "")
        await worker.becomes("maintenance pending" if tasks else "maintenance mode", "an old one")
        assert await worker.order("exit maintenance") == ("done", "")
        await worker.becomes("running" if tasks else "idle")
        assert worker.running == set(jobs)
        await worker.finish(*jobs)
        await worker.finish(*await worker.run_jobs(1))


async def test_maintenance_ends_by_itself_when_it_was_to_end(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(1)
        until = datetime.now(UTC) + timedelta(seconds=4)
        assert await worker.outcome(worker.wish("maintenance", "new disk", until=until)) == ("done", "")
        await worker.becomes("maintenance pending", "new disk")
        await worker.becomes("running")
        assert datetime.now(UTC) >= until
        newest = centre.store.orders.newest(worker.row().id, limit=1)
        assert [(order.kind, order.asked_by) for order in newest] == [("exit maintenance", "ends as asked by admin")]
        assert worker.running == set(jobs)
        await worker.finish(*jobs)


async def test_a_queue_is_paused_and_resumed(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        runs = await worker.run_jobs(1)
        centre.store.queue_pauses.pause([worker.queue], None, "why", by="ada", now=datetime.now(UTC))
        waits = await worker.queue_jobs(1)
        await worker.finish(*runs)
        await worker.becomes("idle")
        # Each end makes the gateway look at the queue.
        assert centre.job(waits[0]).state == "queued"
        assert centre.store.queue_pauses.resume([worker.queue], None) == [worker.queue]
        await worker.runtime.until(lambda: worker.running == set(waits), patience=30)
        await worker.finish(*waits)


async def test_maintenance_during_eight_tasks_interrupts_none_and_lets_none_start(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(8)
        await worker.becomes("running")
        asked = worker.wish("maintenance", "new disk")
        assert worker.row().state == "maintenance request"
        assert await worker.outcome(asked) == ("done", "")
        await worker.becomes("maintenance pending", "new disk")
        late = await worker.queue_jobs(2)
        await worker.finish(jobs[0], jobs[1])
        await worker.crash()
        await worker.becomes("unknown", "new disk")
        await worker.start()
        await worker.becomes("maintenance pending", "new disk")
        with worker.unreachable():
            await worker.becomes("unknown", "new disk")
            assert worker.running == set(jobs[2:])
            new_comment = worker.wish("maintenance", "newer disk")
            assert worker.row().state == "maintenance request"
            await asyncio.to_thread(time.sleep, 2 * HEARTBEAT)
            assert worker.row().state == "maintenance request"
        assert await worker.outcome(new_comment) == ("done", "")
        await worker.becomes("maintenance pending", "newer disk")
        assert worker.running == set(jobs[2:])
        await worker.finish(*jobs[2:])
        await worker.becomes("maintenance mode", "newer disk")
        assert worker.running == set()
        assert {centre.job(job).state for job in late} == {"queued"}
        assert await worker.order("exit maintenance") == ("done", "")
        await worker.becomes("running")
        await worker.runtime.until(lambda: worker.running == set(late), patience=30)
        await worker.finish(*late)
        await worker.becomes("idle")


async def test_shutdown_of_an_idle_worker(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        assert await worker.order("shutdown") == ("done", "")
        assert await worker.agent.ended() == 0
        await worker.becomes("offline")


async def test_shutdown_of_a_running_worker_waits_for_its_tasks(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        (job,) = await worker.run_jobs(1)
        asked = worker.wish("shutdown")
        assert worker.row().state == "shutdown request"
        assert await worker.outcome(asked) == ("done", "")
        await worker.becomes("terminating")
        refused = worker.wish("maintenance", "too late")
        assert (refused.result, "shutting down" in refused.detail) == ("refused", True)
        with worker.unreachable():
            await worker.becomes("unknown")
        await worker.becomes("terminating")
        await worker.crash()
        await worker.becomes("unknown")
        await worker.start()
        await worker.becomes("terminating")
        await worker.finish(job)
        assert await worker.agent.ended() == 0
        await worker.becomes("offline")


@pytest.mark.parametrize("tasks", [0, 1])
async def test_shutdown_in_maintenance_and_back_in_it(centre, tmp_path, tasks):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(tasks)
        await worker.order("maintenance", "moved")
        assert await worker.order("shutdown") == ("done", "")
        if tasks:
            await worker.becomes("terminating", "moved")
            await worker.finish(*jobs)
        assert await worker.agent.ended() == 0
        await worker.becomes("offline maintenance", "moved")
        await worker.runtime.start()
        await worker.start()
        await worker.becomes("maintenance mode", "moved")
        await worker.order("exit maintenance")
        await worker.becomes("idle")


async def test_a_stop_at_the_site_in_each_state(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        await worker.ask("drain")
        assert await worker.agent.ended() == 0
        await worker.becomes("offline")
        await worker.runtime.start()
        await worker.start()
        await worker.becomes("idle")
        (job,) = await worker.run_jobs(1)
        await worker.ask("maintenance", "at the site")
        await worker.becomes("maintenance pending", "at the site")
        await worker.ask("drain")
        await worker.becomes("terminating", "at the site")
        await worker.finish(job)
        await worker.becomes("offline maintenance", "at the site")
        await worker.agent.ended()
        await worker.runtime.start()
        await worker.start()
        await worker.becomes("maintenance mode", "at the site")
        await worker.ask("drain")
        assert await worker.agent.ended() == 0
        await worker.becomes("offline maintenance", "at the site")
        await worker.runtime.start()
        await worker.start()
        await worker.becomes("maintenance mode", "at the site")
        await worker.ask("exit maintenance")
        await worker.becomes("idle")
        (job,) = await worker.run_jobs(1)
        await worker.ask("drain")
        await worker.becomes("terminating")
        await worker.finish(job)
        await worker.becomes("offline")


async def test_what_is_asked_of_an_offline_worker_is_done_when_it_comes(centre, tmp_path):
    async with enrolled(centre, tmp_path) as worker:
        asked = worker.wish("maintenance", "before the first start")
        await worker.becomes("offline maintenance", "before the first start")
        assert worker.fleet.outcome(asked.order_id).result == "waiting"
        concurrency = worker.wish("concurrency", number=3)
        await worker.start()
        assert await worker.outcome(asked) == ("done", "")
        assert await worker.outcome(concurrency) == ("done", "")
        await worker.becomes("maintenance mode", "before the first start")
        assert worker.row().concurrency == 3


async def test_what_was_taken_back_before_an_offline_worker_came_is_not_done(centre, tmp_path):
    async with enrolled(centre, tmp_path) as worker:
        first = worker.wish("maintenance", "never mind")
        back = worker.wish("exit maintenance")
        await worker.becomes("offline")
        assert worker.fleet.outcome(first.order_id).result == "refused"
        await worker.start()
        assert await worker.outcome(back) == ("done", "")
        await worker.becomes("idle")


@pytest.mark.parametrize("tasks", [0, 1])
async def test_silence_and_return(centre, tmp_path, tasks):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(tasks)
        for maintained, state in [(False, "running" if tasks else "idle"), (True, "maintenance pending")]:
            comment = ""
            if maintained:
                comment = "quiet"
                await worker.order("maintenance", comment)
                state = state if tasks else "maintenance mode"
            await worker.becomes(state, comment)
            with worker.unreachable():
                await worker.becomes("unknown", comment)
            await worker.becomes(state, comment)
            await worker.crash()
            await worker.becomes("unknown", comment)
            await worker.start()
            await worker.becomes(state, comment)
        assert worker.running == set(jobs)


async def test_orders_to_one_that_is_out_of_reach_are_done_when_it_returns(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        await worker.order("maintenance", "first")
        with worker.unreachable():
            await worker.becomes("unknown", "first")
            asked = worker.wish("exit maintenance")
            assert worker.row().state == "maintenance exit"
        assert await worker.outcome(asked) == ("done", "")
        await worker.becomes("idle")
        with worker.unreachable():
            await worker.becomes("unknown")
            into, out = worker.wish("maintenance", "x"), worker.wish("exit maintenance")
            again = worker.wish("maintenance", "y")
            assert {worker.fleet.outcome(order.order_id).result for order in (into, out)} == {"refused"}
        assert await worker.outcome(again) == ("done", "")
        await worker.becomes("maintenance mode", "y")
        with worker.unreachable():
            await worker.becomes("unknown", "y")
            asked = worker.wish("shutdown")
        assert await worker.outcome(asked) == ("done", "")
        await worker.becomes("offline maintenance", "y")


@pytest.mark.parametrize("maintained", [False, True])
async def test_a_shutdown_that_waits_for_the_worker_comes_after_what_was_asked_before(centre, tmp_path, maintained):
    async with linked(centre, tmp_path) as worker:
        if not maintained:
            await worker.order("maintenance", "short")
        with worker.unreachable():
            await worker.becomes("unknown", "" if maintained else "short")
            first = worker.wish("maintenance", "long") if maintained else worker.wish("exit maintenance")
            then = worker.wish("shutdown")
            assert worker.row().state == "shutdown request"
        assert await worker.outcome(first) == ("done", "")
        assert await worker.outcome(then) == ("done", "")
        assert await worker.agent.ended() == 0
        if maintained:
            await worker.becomes("offline maintenance", "long")
        else:
            await worker.becomes("offline")


@pytest.mark.parametrize("by", ["order", "site"])
async def test_a_worker_whose_runtime_is_not_ready(centre, tmp_path, by):
    async with enrolled(centre, tmp_path) as worker:
        worker.runtime.ready.clear()
        await worker.start()
        await worker.becomes("starting")
        with worker.unreachable():
            await worker.becomes("unknown")
        await worker.becomes("starting")
        if by == "order":
            asked = worker.wish("shutdown")
            assert worker.row().state == "shutdown request"
            assert await worker.outcome(asked) == ("done", "")
        else:
            await worker.ask("drain")
        assert await worker.agent.ended() == 0
        await worker.becomes("offline")
        worker.runtime.ready.set()
        await worker.start()
        await worker.becomes("idle")


async def test_restart_leaves_the_tasks_alone(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(2)
        link = worker.row().link_id
        assert await worker.order("restart") == ("done", "")
        assert worker.row().link_id not in {None, link}
        await worker.becomes("running")
        assert "going on with 2 jobs of the last agent" in worker.agent.log.read_text()
        assert worker.running == set(jobs)
        await worker.finish(*jobs)


async def test_rename(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        other = centre.trusted_site("q")
        refused = worker.wish("rename", other.name)
        assert refused.result == "refused"
        assert f"another worker is called '{other.name}'" in refused.detail
        name = f"new-{worker.site.name}"
        assert await worker.order("rename", name) == ("done", "")
        assert worker.row().name == name
        assert (await worker.status())["name"] == name
        await worker.run_jobs(1)
        (job,) = worker.runtime.jobs.values()
        assert job.worker_name == name
        await worker.crash()
        await worker.start()
        assert (await worker.shows(lambda status: status["link"]["state"] == "linked"))["name"] == name


async def test_concurrency(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        assert await worker.order("concurrency", number=2) == ("done", "")
        assert worker.row().concurrency == 2
        jobs = await worker.queue_jobs(3)
        await worker.runtime.until(lambda: len(worker.running) == 2, patience=30)
        assert (await worker.status())["free_slots"] == 0
        assert [centre.job(job).assignment for job in jobs].count(0) == 1
        assert await worker.order("concurrency", number=3) == ("done", "")
        await worker.runtime.until(lambda: worker.running == set(jobs), patience=30)
        await worker.crash()
        await worker.becomes("unknown")
        await worker.start()
        await worker.becomes("running")
        assert (await worker.status())["concurrency"] == worker.row().concurrency == 3


async def test_queues_are_added_and_removed_whatever_the_worker_was_started_for(centre, tmp_path):
    async with enrolled(centre, tmp_path) as worker:
        second, added = centre.queue_name(), centre.queue_name()
        centre.store.workers.change_queues(worker.site.id, add=[worker.queue], now=worker.centre.long_ago)
        worker.agent.arguments = ("-q", worker.queue)
        await worker.start()
        await worker.becomes("idle")
        assert worker.row().served_queues == (worker.queue,)
        job = centre.queue(added, workload_id=centre.task_instance(added))
        outcome = worker.fleet.change_queues(worker.row(), add=[added, second])
        assert (outcome.result, outcome.detail) == ("done", f"serves {worker.queue}, {added}, {second}")
        await worker.runtime.until(lambda: worker.running == {str(job.id)}, patience=30)
        status = await worker.shows(lambda status: len(status["queues"]) == 3)
        assert status["queues"] == [worker.queue, added, second]
        outcome = worker.fleet.change_queues(worker.row(), remove=[added])
        await worker.shows(lambda status: status["queues"] == [worker.queue, second])
        assert worker.running == {str(job.id)}
        late = centre.queue(added, workload_id=centre.task_instance(added))
        await worker.crash()
        await worker.start()
        status = await worker.shows(lambda status: status["link"]["state"] == "linked")
        assert status["queues"] == [worker.queue, second]
        await worker.finish(str(job.id))
        assert centre.job(late.id).state == "queued"
        outcome = worker.fleet.change_queues(worker.row(), remove=[worker.queue, second])
        assert (outcome.result, "at least one queue" in outcome.detail) == ("refused", True)
