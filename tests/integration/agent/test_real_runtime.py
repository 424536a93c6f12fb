"""The agent with the real runtime and real tasks: only the centre is played by the test."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from airflow_edge.agent.config import Config
from airflow_edge.protocol.messages import Ended, Goodbye, Offer, Released, Stop
from harness.processes import kill_processes, processes_in
from tests.integration.agent.centre import Answer, Call, Centre
from tests.integration.agent.conftest import Agent
from tests.integration.runtime.agent import is_alive
from tests.integration.runtime.execution_api import RUN_CONTEXT

DAGS = Path(__file__).parents[1] / "runtime" / "dags"
WARM_UP = 90.0
"""Seconds: the runtime imports Airflow, on a machine that may be busy."""


def execution_api(call: Call) -> Answer:
    """Answer as Airflow would, as far as these tasks need it."""
    match call.method, call.path:
        case "PATCH", path if path.endswith("/run"):
            dag_run = RUN_CONTEXT["dag_run"] | {"run_id": "run"}
            return 200, json.dumps(RUN_CONTEXT | {"dag_run": dag_run}).encode()
        case "POST" | "PUT", path if re.match("/xcoms/|.*/rtif", path):
            return 201, b'{"message": "done"}'
    return 204, b""


@pytest.fixture
async def site(config: Config, centre: Centre, make_agent: Callable[[], Agent]) -> AsyncIterator[Agent]:
    """An agent whose runtime is warm."""
    centre.answer = execution_api
    agent = make_agent()
    folder = config.state_dir.parent
    (folder / "run").mkdir()
    agent.environment |= {
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "PYTHONPATH": str(DAGS),
        "SAMPLE_FOLDER": str(folder),
    }
    await agent.start()
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses), patience=WARM_UP)
    yield agent
    kill_processes(processes_in(folder))


async def offer(centre: Centre, task_id: str, dag: str = "sample") -> Offer:
    return await centre.offer(
        workload={
            "type": "ExecuteTask",
            "token": "",
            "ti": {
                "id": str(uuid.uuid4()),
                "dag_version_id": str(uuid.uuid4()),
                "dag_id": dag,
                "task_id": task_id,
                "run_id": "run",
                "try_number": 1,
                "map_index": -1,
                "pool_slots": 1,
                "queue": "default",
                "priority_weight": 1,
                "context_carrier": {},
            },
            "dag_rel_path": f"{dag}.py",
            "bundle_info": {"name": "dags-folder", "version": None},
            "log_path": f"dag_id=sample/task_id={task_id}/attempt=1.log",
        }
    )


async def file(path: Path) -> str:
    """Wait for a file that a task writes."""
    async with asyncio.timeout(30):
        while not path.exists() or not path.read_text():  # noqa: ASYNC110, ASYNC240 - written by another process
            await asyncio.sleep(0.02)
    return path.read_text()  # noqa: ASYNC240 - it is there, and small


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(15):
        while any(is_alive(pid) for pid in pids):  # noqa: ASYNC110 - nothing tells when they are
            await asyncio.sleep(0.02)


async def test_a_task_runs_and_its_log_is_the_centres(centre: Centre, site: Agent) -> None:
    job = await offer(centre, "succeed")
    await centre.until(lambda: [m for m in centre.messages if isinstance(m, Released)], patience=60)
    ended = await centre.message(Ended)
    assert (ended.exit_code, ended.reason) == (0, "")
    await centre.until(lambda: (job.job_id, 1) in centre.ends)
    assert "grüße aus der Ferne" in centre.logs[job.job_id, 1].decode()
    states = [json.loads(call.body)["state"] for call in centre.calls if call.path.endswith("/state")]
    assert states == ["success"]
    assert not any(call.path.endswith("/heartbeat") for call in centre.calls)
    assert json.loads(centre.calls[0].body)["hostname"] == "site-1"

    # Told to end, everything ends: the agent, the runtime, and what the worker had there.
    runtime = (await site.status())["runtime"]["pid"]
    site.signal(signal.SIGTERM)
    await centre.message(Goodbye)
    assert await site.ended() == 0
    await gone([runtime])


async def test_plain_python_is_stopped_when_the_centre_wants_it(centre: Centre, site: Agent, config: Config) -> None:
    job = await offer(centre, "patient")
    await file(config.state_dir.parent / "run" / "patient.pid")
    await centre.say(Stop(job_id=job.job_id, assignment=1, reason="the task was marked as failed"))
    await centre.message(Ended)
    assert (config.state_dir.parent / "run" / "on_kill").exists()


@pytest.mark.parametrize("dies", ["agent", "runtime", "both, runtime first"])
async def test_a_task_outlives_agent_and_runtime(
    centre: Centre, site: Agent, config: Config, make_agent: Callable[[], Agent], dies: str
) -> None:
    job = await offer(centre, "patient")
    task = int(await file(config.state_dir.parent / "run" / "patient.pid"))
    runtime = (await site.status())["runtime"]["pid"]
    if dies != "agent":
        os.kill(runtime, signal.SIGKILL)
    if dies != "runtime":
        await site.kill()
        successor = make_agent()
        successor.environment = site.environment
        await successor.start()
        await centre.until(lambda: len(centre.hellos) == 2)
        assert [held.job_id for held in centre.hellos[1].jobs] == [job.job_id]
    statuses = len(centre.statuses)
    await centre.until(
        lambda: any(s.state == "running" and job.job_id in s.alive for s in centre.statuses[statuses:]),
        patience=WARM_UP,
    )
    assert is_alive(task)
    if dies == "runtime":
        await centre.until(lambda: site.log.read_text().count(") is ready") == 2, patience=WARM_UP)
    assert not [m for m in centre.messages if isinstance(m, Ended)]
    await centre.say(Stop(job_id=job.job_id, assignment=1, reason="enough"))
    ended = await centre.message(Ended)
    assert (ended.job_id, ended.reason) == (job.job_id, "enough") or ended.exit_code is not None
    await gone([task])


async def test_after_a_change_of_the_configuration_new_tasks_have_a_new_runtime(
    centre: Centre, site: Agent, config: Config, make_agent: Callable[[], Agent]
) -> None:
    old = await offer(centre, "patient")
    task = int(await file(config.state_dir.parent / "run" / "patient.pid"))
    runtime = (await site.status())["runtime"]["pid"]
    site.signal(signal.SIGHUP)
    assert await site.ended() == 0
    assert is_alive(task)
    assert not [m for m in centre.messages if isinstance(m, Goodbye)]

    successor = make_agent()
    successor.environment = site.environment | {"AIRFLOW__EDGE_TEST__NEWS": "there are some"}
    await successor.start()
    await centre.until(lambda: len(centre.hellos) == 2)
    statuses = len(centre.statuses)
    # Offered earlier, it would wait for the new runtime, but not longer than its lease.
    await centre.until(lambda: any(s.state == "running" for s in centre.statuses[statuses:]), patience=WARM_UP)
    new = await offer(centre, "succeed")
    await centre.until(lambda: [m for m in centre.messages if isinstance(m, Ended)], patience=WARM_UP)
    ended = await centre.message(Ended)
    assert (ended.job_id, ended.exit_code) == (new.job_id, 0)
    assert (await successor.status())["runtime"]["pid"] != runtime
    assert is_alive(runtime)
    assert is_alive(task)

    await centre.say(Stop(job_id=old.job_id, assignment=1, reason="enough"))
    await centre.until(lambda: [m for m in centre.messages if isinstance(m, Ended) and m.job_id == old.job_id])
    await gone([task, runtime])


async def test_a_stop_that_came_while_no_descriptor_was_left_is_obeyed_and_the_agent_links_again(
    centre: Centre, site: Agent, config: Config
) -> None:
    job = await offer(centre, "patient")
    task = int(await file(config.state_dir.parent / "run" / "patient.pid"))
    os.kill((await site.status())["runtime"]["pid"], signal.SIGKILL)
    await centre.until(lambda: site.log.read_text().count(") is ready") == 2, patience=WARM_UP)
    soft, hard = resource.prlimit(site.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(site.pid, resource.RLIMIT_NOFILE, (3, hard))
    await centre.until(lambda: any("LimitNOFILE" in " ".join(status.conditions) for status in centre.statuses[-1:]))
    await centre.say(Stop(job_id=job.job_id, assignment=1, reason="enough"))
    await centre.until(lambda: f"stopping job {job.job_id}" in site.log.read_text())
    await centre.cut()
    resource.prlimit(site.pid, resource.RLIMIT_NOFILE, (soft, hard))
    await gone([task])
    await centre.until(lambda: len(centre.hellos) == 2 and centre.linked, patience=30)
    ended = await centre.message(Ended)
    assert (ended.job_id, ended.reason) == (job.job_id, "enough") or ended.exit_code is not None


async def test_a_task_whose_runtime_and_then_supervisor_died_ends_too(
    centre: Centre, site: Agent, config: Config
) -> None:
    await offer(centre, "patient")
    task = int(await file(config.state_dir.parent / "run" / "patient.pid"))
    supervisor = psutil.Process(task).ppid()
    os.kill((await site.status())["runtime"]["pid"], signal.SIGKILL)
    await centre.until(lambda: "outlived their runtime" in site.log.read_text(), patience=WARM_UP)
    os.kill(supervisor, signal.SIGKILL)
    await centre.message(Ended)
    await gone([task])
