"""What a person types at a site, while the worker is linked to a real gateway."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from tests.integration.agent.conftest import DAGS
from tests.integration.fleet.fleet import enrolled, linked, workload

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


@pytest.mark.parametrize("how", ["crash", "hand-over"])
async def test_a_stop_and_its_time_hold_for_the_next_agent_until_the_worker_has_gone(centre, tmp_path, how):
    async with linked(centre, tmp_path) as worker:
        (job,) = await worker.run_jobs(1)
        waiting = await start(worker, "stop", "--wait", "--timeout", "8")
        await worker.becomes("terminating")
        if how == "crash":
            await worker.crash()
        else:
            worker.agent.signal(signal.SIGHUP)
            assert await worker.agent.ended() == 0
        status, _, error = await said(waiting)
        assert (status, "1 of its tasks have not" in error) == (1, True)
        await worker.start()
        await worker.shows(lambda status: status["state"] == "terminating")
        (late,) = await worker.queue_jobs(1)
        waiting = await start(worker, "stop", "--wait")
        order = await worker.runtime.stopped(job)
        assert order.reason == "the worker was stopped, and the 8 s that it had for its tasks are over"
        worker.runtime.exit(job, code=143)
        # 10: it had gone before the command could ask.
        assert (await said(waiting))[0] in {0, 10}
        assert await worker.agent.ended() == 0
        await worker.becomes("offline")
        assert centre.job(late).state == "queued"
        await worker.runtime.start()
        await worker.start()
        await worker.becomes("running")
        assert worker.running == {late}


SPELLINGS = [
    ["venv/bin/airflow-edge"],
    ["venv/bin/python", "-m", "airflow_edge.cli.site.main"],
    ["venv/bin/airflow", "edge"],
]


async def begin(words: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Have a worker go into the background."""
    async with asyncio.timeout(60):
        process = await asyncio.create_subprocess_exec(*words, cwd=folder, env=environment)
        assert await process.wait() == 0


@pytest.mark.parametrize("program", SPELLINGS)
async def test_a_restart_in_the_background_leaves_the_worker_what_and_where_it_was(centre, tmp_path, program):
    (tmp_path / "venv").symlink_to(PROGRAM.parents[1])
    async with enrolled(centre, tmp_path) as worker:
        environment = {"PATH": "venv/bin", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": "."}
        environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
        flags = ["-D", "--state-dir", "state", "--pid", "the.pid", "--stderr", "err", "-u", "027"]
        await begin([*program, "worker", *flags], tmp_path, environment)
        try:
            await worker.becomes("idle")
            (job,) = await worker.run_jobs(1)
            before = psutil.Process(int((tmp_path / "the.pid").read_text()))
            facts = before.cwd(), before.cmdline()[1:], before.create_time()
            link = worker.row().link_id
            assert await worker.order("restart") == ("done", "")
            assert worker.row().link_id not in {None, link}
            after = psutil.Process((await worker.status())["pid"])
            assert (after.cwd(), after.cmdline()[1:], after.create_time()) == facts
            assert (tmp_path / "the.pid").read_text() == f"{after.pid}\n"
            lines = (worker.config.state_dir / "agent.log").read_text().splitlines()
            assert sum("going on with 1 job of" in line for line in lines) == 1
            assert (tmp_path / "err").read_text() == ""
            await worker.finish(job)
        finally:
            await types(worker, "stop", "--wait", "--timeout", "0")


async def test_a_restart_waits_for_a_program_that_is_being_replaced(centre, tmp_path):
    venv = tmp_path / "venv"
    venv.symlink_to(PROGRAM.parents[1])
    async with enrolled(centre, tmp_path) as worker:
        await begin(
            ["venv/bin/airflow-edge", "worker", "-D", "--state-dir", "state"],
            tmp_path,
            {"HOME": str(tmp_path), "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS)},
        )
        try:
            await worker.becomes("idle")
            venv.rename(tmp_path / "old")
            asked = worker.wish("restart")
            await worker.shows(lambda status: "airflow-edge is not there" in "".join(status["conditions"]))
            answer = worker.fleet.outcome(asked.order_id)
            assert answer is not None
            assert answer.result == "waiting"
            venv.symlink_to(PROGRAM.parents[1])
            assert await worker.outcome(asked) == ("done", "")
            await worker.finish(*await worker.run_jobs(1))
        finally:
            await types(worker, "stop", "--wait", "--timeout", "0")


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
