"""What a person types at a site, while the worker is linked to a real gateway."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.integration.fleet.fleet import linked, workload

PROGRAM = Path(sys.executable).with_name("airflow-edge")


async def start(worker, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        PROGRAM,
        *words,
        "--state-dir",
        str(worker.config.state_dir),
        env={"PATH": os.defpath, "HOME": str(worker.config.state_dir.parent), "LANG": "C.UTF-8"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def said(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(60):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def types(worker, *words: str) -> tuple[int | None, str, str]:
    return await said(await start(worker, *words))


async def test_maintenance_with_wait_returns_with_the_last_task(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(2)
        waiting = await start(worker, "maintenance", "on", "--comments", "new disk", "--wait")
        await worker.becomes("maintenance pending", "new disk")
        await worker.finish(jobs[0])
        assert waiting.returncode is None
        await worker.finish(jobs[1])
        name = worker.site.name
        assert await said(waiting) == (0, f"the worker '{name}' is in state 'maintenance mode', with 0 tasks\n", "")
        await worker.becomes("maintenance mode", "new disk")
        assert await types(worker, "maintenance", "off", "--wait") == (
            0,
            f"the worker '{name}' is in state 'idle', with 0 tasks\n",
            "",
        )
        await worker.becomes("idle")
        status, _, error = await types(worker, "maintenance", "on")
        assert (status, "--comments" in error) == (2, True)


async def test_status_names_the_tasks(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        before = datetime.now(UTC)
        job = centre.queue(
            worker.queue,
            workload_id=centre.task_instance(worker.queue),
            workload=workload("press", "manual__1", "stamp", map_index=3, try_number=2),
        )
        await worker.runtime.started(str(job.id))
        _, out, _ = await types(worker, "status")
        status = json.loads(out)
        (task,) = status["jobs"]
        since = datetime.fromisoformat(task.pop("since"))
        assert 0 <= (since - before).total_seconds() + 1 < 60
        assert task == {
            "job_id": str(job.id),
            "assignment": 1,
            "phase": "running",
            "kind": "task",
            "dag_id": "press",
            "run_id": "manual__1",
            "task_id": "stamp",
            "map_index": 3,
            "try_number": 2,
        }
        assert (status["state"], status["queues"], status["free_slots"]) == ("running", [worker.queue], 7)
        await worker.crash()
        await worker.start()
        (again,) = (await worker.status())["jobs"]
        assert (again["task_id"], datetime.fromisoformat(again["since"])) == ("stamp", since)


async def test_stop_with_a_timeout_ends_the_tasks_that_are_left(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(2)
        waiting = await start(worker, "stop", "--wait", "--timeout", "3")
        await worker.becomes("terminating")
        await worker.finish(jobs[0])
        order = await worker.runtime.stopped(jobs[1])
        assert order.reason == "the worker was stopped, and the 3 s that it had for its tasks are over"
        assert order.grace == 1.0
        worker.runtime.exit(jobs[1], code=143)
        ended = await centre.wait_for_state(jobs[1], "failed")
        assert ended.reason == order.reason
        status, out, error = await said(waiting)
        assert (status, error) == (0, "")
        assert "after 2 tasks; those that are left in 3 s are ended" in out
        assert await worker.agent.ended() == 0
        await worker.becomes("offline")


async def test_stop_with_wait_lets_the_tasks_end(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        (job,) = await worker.run_jobs(1)
        waiting = await start(worker, "stop", "--wait")
        await worker.becomes("terminating")
        late = await worker.queue_jobs(1)
        assert waiting.returncode is None
        await worker.finish(job)
        status, _, _ = await said(waiting)
        assert status == 0
        assert centre.job(late[0]).state == "queued"
        await worker.becomes("offline")
        status, _, error = await types(worker, "stop")
        assert (status, "no worker runs" in error) == (10, True)
