"""A worker that root has started: the agent is one user, its tasks are another, and a small part stays root."""

from __future__ import annotations

import os
import pwd
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from airflow_edge.agent.config import Config
from airflow_edge.protocol.messages import Ended, Released, Stop
from harness.processes import kill_processes, processes_in
from tests.integration.agent.centre import Centre
from tests.integration.agent.conftest import DAGS, Agent
from tests.integration.agent.test_real_runtime import WARM_UP, execution_api, file, gone, offer
from tests.integration.runtime.users import open_folder, showing, two_users

Users = tuple[pwd.struct_passwd, pwd.struct_passwd]


@pytest.fixture(scope="module")
def users() -> Iterator[Users]:
    with two_users() as both:
        yield both


@pytest.fixture
def config() -> Iterator[Config]:
    with open_folder() as folder:
        yield Config(state_dir=folder / "state", concurrency=4)


@pytest.fixture
def make_worker(config: Config, centre: Centre, make_agent: Callable[[], Agent], users: Users) -> Callable[[], Agent]:
    """Makes workers as a unit of systemd would start them."""
    centre.answer = execution_api
    folder = config.state_dir.parent
    (folder / "run").mkdir()
    os.chown(folder / "run", users[1].pw_uid, users[1].pw_gid)
    before = showing(Path(sys.executable), folder / "spare")

    def make() -> Agent:
        agent = make_agent()
        agent.command = (*before, sys.executable, "-m", "airflow_edge.cli.site.main", "worker")
        agent.environment |= {
            "AIRFLOW__EDGE__AGENT_USER": users[0].pw_name,
            "AIRFLOW__EDGE__TASK_USER": users[1].pw_name,
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "PYTHONPATH": str(DAGS),
            "SAMPLE_FOLDER": str(folder),
        }
        return agent

    return make


@pytest.fixture
async def worker(config: Config, centre: Centre, make_worker: Callable[[], Agent]) -> AsyncIterator[Agent]:
    """A worker whose runtime is warm."""
    agent = make_worker()
    await agent.start()
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses), patience=WARM_UP)
    yield agent
    kill_processes(processes_in(config.state_dir.parent))


def uid(pid: int) -> int:
    return psutil.Process(pid).uids().real


async def test_a_task_runs_as_its_user_and_all_that_is_the_workers_is_the_agents(
    centre: Centre, worker: Agent, config: Config, users: Users
) -> None:
    await offer(centre, "loop")
    pids = [int(pid) for pid in (await file(config.state_dir.parent / "run" / "loop.pids")).split()]
    status = await worker.status()
    runtime = status["runtime"]["pid"]

    agent, task = users
    assert (uid(status["pid"]), uid(runtime)) == (agent.pw_uid, agent.pw_uid)
    assert {uid(pid) for pid in pids} == {task.pw_uid}
    for path in (config.state_dir, *config.state_dir.rglob("*")):
        assert (path.name, path.stat().st_uid) == (path.name, agent.pw_uid)
    assert config.state_dir.stat().st_mode & 0o077 == 0

    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    await gone([*pids, runtime, status["pid"]])
    await gone([process.pid for process in processes_in(config.state_dir.parent)])


async def test_without_a_runtime_another_users_task_is_ended_all_the_same(
    centre: Centre, worker: Agent, config: Config
) -> None:
    job = await offer(centre, "loop")
    pids = [int(pid) for pid in (await file(config.state_dir.parent / "run" / "loop.pids")).split()]
    runtime = (await worker.status())["runtime"]["pid"]
    os.kill(runtime, signal.SIGKILL)
    await gone([runtime])
    await centre.say(Stop(job_id=job.job_id, assignment=1, reason="the task was marked as failed"))
    await centre.message(Ended)
    await gone(pids)

    # What stays root has started another.
    await centre.until(lambda: centre.statuses[-1].state == "idle", patience=WARM_UP)
    await offer(centre, "succeed")
    await centre.until(lambda: len([m for m in centre.messages if isinstance(m, Released)]) == 2, patience=60)


async def test_the_next_worker_takes_over_what_the_last_has_left(
    centre: Centre, worker: Agent, config: Config, make_worker: Callable[[], Agent], users: Users
) -> None:
    job = await offer(centre, "patient")
    await file(config.state_dir.parent / "run" / "patient.pid")
    worker.signal(signal.SIGHUP)
    assert await worker.ended() == 0
    # As after `airflow-edge enroll --force`, which root has typed.
    os.chown(config.identity_file, 0, 0)
    following = make_worker()
    await following.start()
    await centre.until(lambda: len(centre.hellos) == 2)
    assert [held.job_id for held in centre.hellos[1].jobs] == [job.job_id]
    assert config.identity_file.stat().st_uid == users[0].pw_uid
    await centre.say(Stop(job_id=job.job_id, assignment=1, reason="the task was marked as failed"))
    await centre.message(Ended)
    assert (config.state_dir.parent / "run" / "on_kill").exists()
