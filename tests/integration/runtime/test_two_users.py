"""Agent and tasks as two real users: what a hostile task can do to the agent, to others' jobs, and after its end."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from airflow_edge.agent.config import Config
from airflow_edge.checking.findings import Mark
from airflow_edge.cli.site import sudo
from airflow_edge.protocol.local import JOB_FILE, JobExited, JobFile, JobStarted, SiteTerms, StopJob
from harness.processes import kill_processes, processes_in
from harness.waiting import wait_for
from tests.integration.runtime.agent import SECRET, AgentSide, RuntimeProcess, is_alive
from tests.integration.runtime.conftest import site_environment
from tests.integration.runtime.execution_api import ExecutionApi
from tests.integration.runtime.users import open_folder, showing, two_users
from tests.integration.runtime.users import third_user as a_third_user

POLICY = "/etc/airflow-edge/policy.toml"


@pytest.fixture(scope="module")
def users():
    with two_users() as both:
        yield both


@pytest.fixture(scope="module")
def third(python, users):
    if python != Path(sys.executable):
        pytest.skip("each start by sudo is one of a whole Airflow, and the oldest does it alike")
    with a_third_user(python, users[1]) as user:
        yield user


@pytest.fixture(scope="module")
def runtime(python, users):
    """A runtime that root has started for these two."""
    with two_users_runtime(python, users) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def runtime_of_three(python, users, third):
    """One whose tasks may ask for a third user."""
    with two_users_runtime(python, users, RUN_AS=third.pw_name) as runtime:
        yield runtime


@contextmanager
def two_users_runtime(python, users, **environment):
    agent, task = users
    with open_folder() as folder:
        for name in ("home", "state"):
            (folder / name).mkdir(mode=0o700)
            os.chown(folder / name, agent.pw_uid, agent.pw_gid)
        (folder / "state" / "worker.json").write_text("the private key")
        own(folder / "state" / "worker.json", agent)
        command = [
            *showing(python, folder / "spare"),
            *(python, "-m", "airflow_edge.runtime", "--state-dir", folder / "state"),
            *("--agent-user", agent.pw_name, "--task-user", task.pw_name),
        ]
        runtime = RuntimeProcess(folder, command, site_environment(folder) | environment)
        try:
            yield runtime
        finally:
            runtime.process.kill()
            kill_processes(processes_in(folder))


@pytest.fixture
def api(runtime, users):
    server = ExecutionApi(runtime.state_dir / "agent.sock")
    own(server.path, users[0])
    yield server
    server.close()


@pytest.fixture
def agent(runtime, users, api):
    side = AgentSide(runtime)
    os.chown(side.folder, users[1].pw_uid, users[1].pw_gid)
    api.run_id = side.run_id
    yield side
    side.close()


def own(path, user):
    os.chown(path, user.pw_uid, user.pw_gid)
    path.chmod(0o600)


@pytest.fixture
def three(runtime_of_three, users):
    """An agent whose tasks are a third user's."""
    api = ExecutionApi(runtime_of_three.state_dir / "agent.sock")
    own(api.path, users[0])
    side = AgentSide(runtime_of_three)
    side.folder.chmod(0o777)
    api.run_id = side.run_id
    yield side, partial(prepare, side, users, api, dag="as_another"), api
    side.close()
    api.close()


def prepare(agent, users, api, task_id, dag="sample", terms=None):
    job = agent.task(task_id, api.path, dag=dag)
    file = job.folder / JOB_FILE
    file.write_bytes(msgspec.json.encode(replace(msgspec.json.decode(file.read_bytes(), type=JobFile), terms=terms)))
    for path in (job.folder.parent, job.folder, *job.folder.iterdir()):
        os.chown(path, users[0].pw_uid, users[0].pw_gid)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return job


def test_a_task_is_another_user_and_its_files_are_the_agents(agent, users, api):
    # As itself, which the machine's owner need not allow again.
    job = prepare(agent, users, api, "attack", terms=SiteTerms(policy=POLICY, users=()))
    (agent.folder / "attack.json").write_text(json.dumps({"tell": ["uid", "gid", "groups"]}))
    assert agent.run(job).exit_code == 0

    (found,) = api.of("POST", "/return_value")
    _, task = users
    assert found.body["tell uid"] == [task.pw_uid] * 3
    assert found.body["tell gid"] == [task.pw_gid] * 3
    assert found.body["tell groups"] == [task.pw_gid]
    for file in job.folder.iterdir():
        assert (file.name, file.stat().st_uid) == (file.name, users[0].pw_uid)
        assert file.stat().st_mode & 0o077 == 0


def test_attack_10_a_hostile_task_gets_at_neither_key_nor_jobs_nor_sockets_nor_processes(agent, users, api, runtime):
    other = prepare(agent, users, api, "loop")
    agent.connection.send(other.start)
    supervisor = agent.connection.expect(JobStarted, job=other).pid
    agent.read("loop.pids")
    plan = hostile(agent, other, supervisor, users, api, runtime)
    (agent.folder / "attack.json").write_text(json.dumps(plan))
    job = prepare(agent, users, api, "attack")
    assert agent.run(job).exit_code == 0

    (found,) = api.of("POST", "/return_value")
    assert len(found.body) == sum(map(len, plan.values()))
    assert {what: came for what, came in found.body.items() if came != "PermissionError"} == {}
    assert {call.authorization for call in api.calls} == {f"Bearer {SECRET}"}
    assert is_alive(supervisor)


def hostile(agent, other, supervisor, users, api, runtime):
    """What a task might try against the worker and the job beside it."""
    # The runtime, the agent's part of the pair, and somebody else's processes.
    pids = [agent.hello.pid, supervisor, os.getpid()]
    return {
        "read": [
            str(runtime.state_dir / "worker.json"),
            str(other.folder / "job.json"),
            str(other.folder / "task.log"),
            *(f"/proc/{pid}/environ" for pid in pids),
            *(f"/proc/{pid}/mem" for pid in pids),
        ],
        "write": [str(other.folder / "task.log"), str(runtime.state_dir / "journal.sqlite")],
        "list": [str(runtime.state_dir), str(other.folder), *(f"/proc/{pid}/fd" for pid in pids)],
        "connect": [str(api.path), str(runtime.socket)],
        "signal": pids,
        "trace": pids,
        "be": [0, users[0].pw_uid],
    }


def test_attack_10_nothing_of_a_task_holds_another_jobs_secret(agent, users, api, runtime):
    other = prepare(agent, users, api, "loop")
    agent.connection.send(other.start, secret="what opens the other job")
    agent.connection.expect(JobStarted, job=other)
    agent.read("loop.pids")
    # Nor on the disk; its own, which is all over its memory, shows that the search finds something.
    assert not [path for path in other.folder.rglob("*") if b"what opens" in path.read_bytes()]
    plan = {"find": ["what [o]pens the other job", f"{SECRET[:-1]}[{SECRET[-1]}]"]}
    (agent.folder / "attack.json").write_text(json.dumps(plan))
    assert agent.run(prepare(agent, users, api, "attack")).exit_code == 0

    (found,) = api.of("POST", "/return_value")
    assert list(found.body.values()) == ["nothing", "done"]


def test_another_users_task_is_stopped_with_all_that_it_has_started(agent, users, api):
    job = prepare(agent, users, api, "loop")
    agent.connection.send(job.start)
    pids = agent.read("loop.pids")
    assert {Path(f"/proc/{pid}").exists() for pid in pids} == {True}
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=0.2))

    agent.connection.expect(JobExited, job=job)
    wait_for(lambda: not any(is_alive(pid) for pid in pids), "the task to end", timeout=20)


def test_attack_10_another_users_task_leaves_nothing_behind(agent, users, api):
    job = prepare(agent, users, api, "leave_behind")
    assert agent.run(job).exit_code == 0

    pids = agent.read("left.pids")
    assert len(pids) == 3
    assert [pid for pid in pids if is_alive(pid)] == []


def test_a_callback_is_another_user_too(agent, users, api):
    job = agent.callback("sample_callbacks.whoami", {"into": str(agent.folder / "who")}, api.path)
    for path in (job.folder, *job.folder.iterdir()):
        os.chown(path, users[0].pw_uid, users[0].pw_gid)
    assert agent.run(job).exit_code == 0
    assert int((agent.folder / "who").read_text()) == users[1].pw_uid


def test_attack_10_run_as_user_is_a_third_user_who_gets_at_no_more_and_leaves_nothing(
    three, users, third, runtime_of_three
):
    agent, prepare_another, api = three
    other = prepare(agent, users, api, "loop")
    agent.connection.send(other.start)
    supervisor = agent.connection.expect(JobStarted, job=other).pid
    task, _ = agent.read("loop.pids")
    plan = hostile(agent, other, supervisor, users, api, runtime_of_three) | {"tell": ["uid"]}
    plan["signal"].append(task)
    (agent.folder / "attack.json").write_text(json.dumps(plan))
    # Whom the machine's owner has named.
    job = prepare_another("attack", terms=SiteTerms(policy=POLICY, users=("nobody", f"{third.pw_name[:-1]}?")))
    assert agent.run(job).exit_code == 0, job.log

    (found,) = api.of("POST", "/return_value")
    assert found.body.pop("tell uid") == [third.pw_uid] * 3
    assert {what: came for what, came in found.body.items() if came != "PermissionError"} == {}
    said = [line["event"] for line in job.log]
    assert "I am another" in said
    assert [event for event in said if "Could not create log folder" in event] == []
    pids = agent.read("left.pids")
    assert len(pids) == 3
    assert [pid for pid in pids if is_alive(pid)] == []


def test_attack_10_whom_the_owner_does_not_name_a_task_does_not_become(three, third):
    agent, prepare_another, api = three
    (agent.folder / "attack.json").write_text(json.dumps({"tell": ["uid"]}))
    job = prepare_another("attack", terms=SiteTerms(policy=POLICY, users=("root", "edge-other-*")))
    assert agent.run(job).exit_code == 1

    said = [line["event"] for line in job.log]
    reason = f"by its owner's site policy ({POLICY} on that machine): user '{third.pw_name}' is none of its users"
    assert f"This task is refused {reason}" in said
    # Not even begun by sudo, so nothing of it has run.
    assert "Running command" not in said
    assert "I am another" not in said
    assert not (agent.folder / "left.pids").exists()
    assert api.of("POST", "/return_value") == []


@pytest.fixture
def open_python(monkeypatch):
    """In place of the worker's, one that all users can start."""
    with open_folder() as folder:
        python = folder / "bin" / "python"
        python.parent.mkdir()
        python.write_text("#!/bin/sh\n")
        python.chmod(0o755)
        monkeypatch.setattr(sudo, "interpreter", lambda: str(python))
        yield python


@pytest.mark.parametrize(
    ("without", "words"),
    [
        ("nothing", ""),
        ("NOPASSWD:", "a password is required"),
        (":SETENV", "not allowed to preserve the environment"),
        ("/python", "a password is required"),
    ],
)
def test_check_says_what_keeps_tasks_from_becoming_another_user(open_python, users, tmp_path, without, words):
    _, task = users
    config = Config(state_dir=tmp_path, agent_user=users[0].pw_name, task_user=task.pw_name)
    with a_third_user(open_python, task, without=without) as third:
        (found,) = sudo.third_users(config, third.pw_name)
    assert found.mark is (Mark.WRONG if words else Mark.OK)
    assert words in found.text
    if words:
        assert f"{task.pw_name} ALL=({third.pw_name}) NOPASSWD:SETENV: {open_python}" in found.advice
    assert list(sudo.third_users(config, task.pw_name)) == []


def test_check_says_who_may_be_another_that_cannot_read_python(open_python, users, tmp_path):
    config = Config(state_dir=tmp_path, agent_user=users[0].pw_name, task_user=users[1].pw_name)
    open_python.chmod(0o700)
    with a_third_user(open_python, users[1]) as third:
        (found,) = sudo.third_users(config, third.pw_name)
    assert "who cannot start the worker's Python" in found.text
    assert "sudoers" not in found.advice


def test_attack_10_a_third_users_task_hears_that_it_is_to_end_and_all_that_it_has_started_ends(three):
    agent, prepare_another, _ = three
    job = prepare_another("patient")
    agent.connection.send(job.start)
    (pid,) = agent.read("patient.pid")
    pids = [pid, *agent.read("left.pids")]
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=60))
    agent.connection.expect(JobExited, job=job)
    assert (agent.folder / "on_kill").exists()
    wait_for(lambda: not any(is_alive(pid) for pid in pids), "the task to end", timeout=20)
