"""A worker that root has started: the agent is one user, its tasks are another, and a small part stays root."""

from __future__ import annotations

import json
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
from tests.integration.runtime.users import open_folder, showing, third_user, two_users

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
        # Of the names of one interpreter that which pip writes into programs.
        python = Path(sys.executable).with_name("python3")
        agent.command = (*before, str(python), "-m", "airflow_edge.cli.site.main", "worker")
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


async def test_with_the_documented_rule_a_task_becomes_a_third_user_whatever_the_interpreter_was_called(
    centre: Centre, make_worker: Callable[[], Agent], config: Config, users: Users
) -> None:
    folder = config.state_dir.parent
    with third_user(Path(sys.executable), users[1]) as third:
        agent = make_worker()
        (folder / "run").chmod(0o777)
        (folder / "run" / "attack.json").write_text(json.dumps({"tell": ["uid"]}))
        await agent.start(RUN_AS=third.pw_name)
        await centre.until(lambda: any(status.state == "idle" for status in centre.statuses), patience=WARM_UP)
        await offer(centre, "attack", dag="as_another")
        await centre.until(lambda: any(isinstance(said, Released) for said in centre.messages), patience=60)
        assert {path.stat().st_uid for path in (folder / "run").glob("left.pids")} == {third.pw_uid}
        said = "".join(log.read_text() for log in config.state_dir.rglob("*.log"))
        assert "ready for tasks" in said
        assert "Could not create log folder" not in said
        kill_processes(processes_in(folder))


async def check(agent: Agent, *, patience: float = 120, **environment: str) -> tuple[int, str]:
    """Have root type `airflow-edge check` with a worker's environment; give its status, and what it says."""
    agent.command = (*agent.command[:-1], "check")
    await agent.start(**environment)
    status = await agent.ended(patience)
    return status, agent.log.read_text()


async def test_check_starts_the_runtime_as_the_worker_would_and_leaves_everything_as_it_is(
    make_worker: Callable[[], Agent], config: Config, users: Users
) -> None:
    (config.state_dir.parent / "run").chmod(0o755)
    before = {path: path.lstat() for path in (config.state_dir, *config.state_dir.rglob("*"))}
    temporary = config.state_dir.parent / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    policy = config.state_dir.parent / "policy.toml"
    with third_user(Path(sys.executable), users[1]) as third:
        policy.write_text(f'users = ["{users[0].pw_name}", "{third.pw_name}"]\n')
        status, said = await check(make_worker(), TMPDIR=str(temporary), AIRFLOW__EDGE__SITE_POLICY=str(policy))
    assert f"OK     tasks may ask to be '{third.pw_name}'" in said
    assert "OK     the runtime starts, with Airflow" in said
    assert "OK     processes for tasks are to be had" in said
    (wrong,) = [line for line in said.split("\n") if line.startswith("WRONG") and "the centre cannot" not in line]
    python = Path(sys.executable).with_name("python")
    assert f"{users[1].pw_name} ALL=({users[0].pw_name}) NOPASSWD:SETENV: {python}" in wrong
    assert status == 1
    after = {path: path.lstat() for path in (config.state_dir, *config.state_dir.rglob("*"))}
    assert {path: (facts.st_uid, facts.st_mode) for path, facts in before.items()} == {
        path: (facts.st_uid, facts.st_mode) for path, facts in after.items()
    }
    assert list(temporary.iterdir()) == []


async def test_check_judges_files_by_the_users_that_the_worker_and_its_tasks_are(
    make_worker: Callable[[], Agent], config: Config, users: Users
) -> None:
    folder = config.state_dir.parent
    files = {name: folder / name for name in ("policy.toml", "ca.pem", "airflow.cfg")}
    for path in files.values():
        path.touch(mode=0o600)
    (folder / "dags").mkdir(mode=0o700)
    (folder / "dags" / "some.py").touch()
    agent = make_worker()
    agent.environment |= {
        "AIRFLOW__EDGE__SITE_POLICY": str(files["policy.toml"]),
        "AIRFLOW__EDGE__API_URL": "https://127.0.0.1:1",
        "AIRFLOW__EDGE__CA_FILE": str(files["ca.pem"]),
        "AIRFLOW_CONFIG": str(files["airflow.cfg"]),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
    }
    status, said = await check(agent)
    assert status == 1
    wrong = [line for line in said.split("\n") if line.startswith("WRONG")]
    for words in (*map(str, files.values()), str(folder / "dags")):
        assert [line for line in wrong if words in line], words
    for user in users:
        assert [line for line in wrong if f"'{user.pw_name}'" in line and "airflow.cfg" in line]
