"""The runtime as the agent sees it, with Airflow's real supervisor and task runner."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from airflow_edge import __version__
from airflow_edge.protocol.local import (
    JobExited,
    JobNotStarted,
    JobStarted,
    LocalJob,
    Retire,
    RuntimeHello,
    StopJob,
)
from airflow_edge.site import stop
from airflow_edge.site.processes import holder
from harness.waiting import wait_for
from tests.integration.runtime.agent import SECRET, WORKER, AgentSide, Connection, RuntimeProcess, is_alive
from tests.integration.runtime.conftest import site_environment
from tests.integration.runtime.execution_api import Call, ExecutionApi


def test_a_task_runs_and_its_outcome_log_and_calls_are_complete(agent, api):
    job = agent.task("succeed", api.path)
    agent.connection.send(job.start)
    started = agent.connection.expect(JobStarted, job=job)
    ended = agent.connection.expect(JobExited, job=job)

    assert started.pid > 0
    assert (ended.exit_code, ended.signal) == (0, None)
    assert (job.outcome.job_id, job.outcome.assignment) == (job.job_id, 1)
    assert (job.outcome.exit_code, job.outcome.reason) == (0, "")
    (run,) = api.of("PATCH", "/run")
    assert run.body["hostname"] == WORKER
    (xcom,) = api.of("POST", "/return_value")
    assert xcom.body == {"answer": 42}
    (state,) = api.of("PATCH", "/state")
    assert state.body["state"] == "success"
    assert {call.authorization for call in api.calls} == {f"Bearer {SECRET}"}
    assert [line["level"] for line in job.log if line["event"] == "grüße aus der Ferne"] == ["info"]
    assert (job.folder / "task.log").stat().st_mode & 0o077 == 0


def test_a_task_that_fails_says_so_to_airflow_and_its_process_ends_well(agent, api):
    job = agent.task("fail", api.path)

    assert agent.run(job).exit_code == 0
    (state,) = api.of("PATCH", "/state")
    assert state.body["state"] == "failed"
    assert "this task fails" in (job.folder / "task.log").read_text()


def test_a_killed_task_is_reported_with_its_signal(agent, api):
    api.should_retry = True
    job = agent.task("kill_itself", api.path)

    assert agent.run(job).exit_code == 128 + signal.SIGKILL
    assert job.outcome.exit_code == 128 + signal.SIGKILL
    assert "SIGKILL" in job.outcome.reason
    # Airflow leaves it to the executor to report this one, because there are retries left.
    assert api.of("PATCH", "/state") == []


def test_a_stopped_task_gets_to_run_its_on_kill(agent, api):
    job = agent.task("patient", api.path)
    agent.connection.send(job.start)
    (pid,) = agent.read("patient.pid")
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=30))

    agent.connection.expect(JobExited, job=job, timeout=10)
    assert (agent.folder / "on_kill").exists()
    assert not is_alive(pid)
    assert job.log[-1]["event"] == stop.ended("")


def test_a_bash_command_ends_with_its_task(agent, api):
    job = agent.task("bash", api.path)
    agent.connection.send(job.start)
    (bash,) = agent.read("bash.pid")
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=30))

    agent.connection.expect(JobExited, job=job, timeout=20)
    assert not is_alive(bash)


def test_plain_python_is_killed_after_the_grace_with_all_its_children(agent, api):
    job = agent.task("loop", api.path)
    agent.connection.send(job.start)
    pids = agent.read("loop.pids")
    began = time.monotonic()
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=0.5, reason="it was cleared"))

    wait_for(lambda: not any(is_alive(pid) for pid in pids), "the loop and its child to end", timeout=5)
    assert time.monotonic() - began >= 0.5
    assert agent.connection.expect(JobExited, job=job).exit_code == 128 + signal.SIGKILL
    said = [line for line in job.log if line.get("logger") == "airflow_edge"]
    steps = [stop.terminated("it was cleared", 0.5), stop.killed(0.5), stop.ended("it was cleared")]
    assert [line["event"] for line in said] == steps
    # Nobody has to look for a lack of memory, and nothing comes after the reason.
    assert said[-1] == job.log[-1]
    assert "memory" not in job.outcome.reason + (job.folder / "task.log").read_text()
    assert job.outcome.reason.endswith("because the worker was to end it: it was cleared")
    assert {line["level"] for line in said} == {"warning"}


def test_a_second_stop_can_only_shorten_the_grace(agent, api):
    job = agent.task("loop", api.path)
    agent.connection.send(job.start)
    pids = agent.read("loop.pids")
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=600))
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=0))
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=600))

    wait_for(lambda: not any(is_alive(pid) for pid in pids), "the loop to end", timeout=5)


def test_what_a_dead_supervisor_leaves_behind_is_ended_and_its_outcome_is_written(agent, api):
    job = agent.task("loop", api.path)
    agent.connection.send(job.start)
    supervisor = agent.connection.expect(JobStarted, job=job).pid
    pids = agent.read("loop.pids")
    os.kill(supervisor, signal.SIGKILL)

    ended = agent.connection.expect(JobExited, job=job)
    assert (ended.exit_code, ended.signal) == (None, signal.SIGKILL)
    assert job.outcome.exit_code == 128 + signal.SIGKILL
    assert "supervisor" in job.outcome.reason
    wait_for(lambda: not any(is_alive(pid) for pid in pids), "the orphaned task to end", timeout=5)


def test_a_supervisor_is_known_by_a_file_while_it_lives(agent, api):
    job = agent.task("loop", api.path)
    agent.connection.send(job.start)
    supervisor = agent.connection.expect(JobStarted, job=job).pid
    agent.read("loop.pids")
    # Airflow has hidden by now what it has open.
    assert holder(job.folder / "supervisor.pid") == supervisor
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=0))
    agent.connection.expect(JobExited, job=job)
    assert holder(job.folder / "supervisor.pid") is None


def test_a_supervisor_that_cannot_report_is_ended_too(agent, api):
    api.overrule = lambda call: time.sleep(600) if call.path.endswith("/state") else "usual"
    job = agent.task("succeed", api.path)
    agent.connection.send(job.start)
    api.wait_for("PATCH", "/state")
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=0))

    assert agent.connection.expect(JobExited, job=job, timeout=15).signal == signal.SIGKILL


def test_jobs_outlive_the_agent_and_are_listed_for_the_next(agent, api):
    first, second = agent.task("patient", api.path), agent.task("loop", api.path)
    for job in (first, second):
        agent.connection.send(job.start)
    pids = {job.job_id: agent.connection.expect(JobStarted, job=job).pid for job in (first, second)}
    agent.read("patient.pid")
    agent.read("loop.pids")
    agent.connection.close()

    connection, hello = agent.connect()
    assert set(hello.jobs) == {
        LocalJob(job_id=job.job_id, assignment=1, pid=pids[job.job_id]) for job in (first, second)
    }
    assert hello.airflow_version.startswith("3.")
    connection.send(StopJob(job_id=first.job_id, assignment=1, grace=30))
    connection.expect(JobExited, job=first)
    connection.close()


def test_a_new_connection_takes_the_place_of_the_old(agent):
    connection, hello = agent.connect()
    assert hello.jobs == ()
    agent.connection.wait_closed()
    connection.close()


def test_a_job_is_started_once_only(agent, api):
    job = agent.task("patient", api.path)
    agent.connection.send(job.start)
    agent.connection.send(job.start)
    first, again = (agent.connection.expect(JobStarted, job=job) for _ in range(2))
    assert first.pid == again.pid
    agent.read("patient.pid")
    agent.connection.send(StopJob(job_id=job.job_id, assignment=1, grace=30))
    agent.connection.expect(JobExited, job=job)

    agent.connection.send(job.start)
    assert "once" in agent.connection.expect(JobNotStarted, job=job).reason
    assert len(api.of("PATCH", "/run")) == 1


def test_a_job_without_a_folder_is_not_started(agent, api):
    job = agent.task("succeed", api.path)
    shutil.rmtree(job.folder)
    agent.connection.send(job.start)

    assert "No such file" in agent.connection.expect(JobNotStarted, job=job).reason


def test_a_runtime_without_descriptors_keeps_its_jobs_and_does_not_spin(last_agent, api):
    job = last_agent.task("patient", api.path)
    last_agent.connection.send(job.start)
    (task,) = last_agent.read("patient.pid")
    runtime = psutil.Process(last_agent.runtime.process.pid)
    soft, hard = resource.prlimit(runtime.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(runtime.pid, resource.RLIMIT_NOFILE, (3, hard))
    refused = last_agent.task("succeed", api.path)
    last_agent.connection.send(refused.start)
    assert "Too many open files" in last_agent.connection.expect(JobNotStarted, job=refused).reason
    last_agent.connection.close()
    waiting = Connection(last_agent.runtime.socket)
    began = sum(runtime.cpu_times()[:2])
    log = last_agent.runtime.process.log
    wait_for(lambda: log.read_text().count("Too many open files; trying again") >= 2, "two attempts", timeout=20)
    assert sum(runtime.cpu_times()[:2]) - began < 1
    assert is_alive(task)

    resource.prlimit(runtime.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert [listed.job_id for listed in waiting.expect(RuntimeHello).jobs] == [job.job_id]
    waiting.send(StopJob(job_id=job.job_id, assignment=1, grace=30))
    waiting.expect(JobExited, job=job)
    waiting.close()


def test_a_retiring_runtime_makes_room_for_the_next_and_ends_with_its_last_job(last_agent, api):
    job, late = last_agent.task("patient", api.path), last_agent.task("succeed", api.path)
    last_agent.connection.send(job.start)
    (task,) = last_agent.read("patient.pid")
    last_agent.connection.send(Retire())
    with suppress(BrokenPipeError):  # it may have let go already
        last_agent.connection.send(late.start)
    last_agent.connection.wait_closed()
    assert not last_agent.runtime.socket.exists()
    # Another one may serve there now, though this one still sees to its task.
    lock = os.open(last_agent.runtime.socket.with_suffix(".pid"), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    last_agent.runtime.socket.touch()
    assert is_alive(task)
    os.kill(task, signal.SIGKILL)

    assert last_agent.runtime.process.wait(10) == 0
    assert job.outcome.exit_code == 128 + signal.SIGKILL
    assert not (late.folder / "supervisor.log").exists()
    assert last_agent.runtime.socket.exists()
    os.close(lock)


def test_a_terminated_runtime_ends_its_jobs_first(last_agent, api):
    job = last_agent.task("patient", api.path)
    last_agent.connection.send(job.start)
    (pid,) = last_agent.read("patient.pid")
    last_agent.runtime.process.send_signal(signal.SIGTERM)

    last_agent.connection.expect(JobExited, job=job)
    assert last_agent.runtime.process.wait(10) == 0
    assert (last_agent.folder / "on_kill").exists()
    assert not is_alive(pid)


def test_a_runtime_whose_folder_is_gone_ends(last_agent):
    shutil.rmtree(last_agent.runtime.state_dir)

    assert last_agent.runtime.process.wait(15) == 0


def test_a_task_does_not_notice_that_the_agent_was_away(agent, api):
    hung_up: list[Call] = []

    def hang_up_once(call):
        if call.path.endswith("/run") and not hung_up:
            hung_up.append(call)
            return None
        return "usual"

    api.overrule = hang_up_once
    job = agent.task("patient", api.path)
    agent.connection.send(job.start)
    (pid,) = agent.read("patient.pid")
    assert len(api.of("PATCH", "/run")) == 2

    api.close()
    # The task goes on without its agent, and ends: its state has to wait for the next agent.
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not is_alive(pid) or (agent.folder / "on_kill").exists(), "on_kill", timeout=10)
    next_agent = ExecutionApi(api.path)
    try:
        assert next_agent.wait_for("PATCH", "/state").body["state"] == "success"
        assert agent.connection.expect(JobExited, job=job).exit_code == 0
    finally:
        next_agent.close()


def test_a_refused_start_runs_nothing_and_says_why(agent, api):
    detail = {"reason": "invalid_state", "message": "not queued", "previous_state": "failed"}
    api.overrule = lambda call: (409, {"detail": detail}) if call.path.endswith("/run") else "usual"
    job = agent.task("patient", api.path)

    assert agent.run(job).exit_code == 1
    assert "not queued" in job.outcome.reason
    assert not (agent.folder / "patient.pid").exists()


def test_a_callback_runs(agent, api):
    notified = agent.folder / "notified"
    job = agent.callback("sample_callbacks.notify", {"file": str(notified), "text": "fertig"}, api.path)

    assert agent.run(job).exit_code == 0
    assert notified.read_text() == "fertig"
    assert job.outcome.reason == ""


def test_a_callback_that_fails_fails_its_job(agent, api):
    job = agent.callback("sample_callbacks.fail", {}, api.path)

    assert agent.run(job).exit_code == 1
    assert job.outcome.reason
    assert "this callback fails" in (job.folder / "task.log").read_text()


def test_a_test_job_says_what_a_task_would_have_and_asks_nobody_anything(agent, api):
    job = agent.test(api.path)

    assert agent.run(job).exit_code == 0, (job.folder / "task.log").read_text()
    assert (job.outcome.exit_code, job.outcome.reason) == (0, "")
    said = [line["event"] for line in job.log]
    (place,) = [line for line in said if line.startswith("The test job runs on host")]
    assert f"host '{socket.gethostname()}' as user '" in place
    (versions,) = [line for line in said if line.startswith(f"Airflow {agent.hello.airflow_version} with Task SDK ")]
    assert f", airflow-edge {__version__}" in versions
    assert any(line.startswith("Python 3.") for line in said)
    assert api.calls == []


def test_a_task_sees_the_worker_and_nothing_of_the_centre(agent, api):
    job = agent.task("look_around", api.path)
    agent.run(job)
    (xcom,) = api.of("POST", "/return_value")

    assert xcom.body["hostname"] == WORKER
    environ = xcom.body["environ"]
    assert not any("the secret of the centre" in value or "password@" in value for value in environ.values())
    assert SECRET not in environ.values()
    assert "NOTIFY_SOCKET" not in environ
    # The site's own stays.
    assert environ["AIRFLOW__SECRETS__BACKEND_KWARGS"] == '{"variables_file_path": "/srv/variables.json"}'
    assert environ["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    # Airflow makes neither a database nor a configuration file here.
    assert not list(agent.runtime.folder.rglob("airflow.db"))
    assert not list(agent.runtime.folder.rglob("airflow.cfg"))


def test_no_process_of_a_job_shows_a_secret_in_its_arguments(agent, api):
    job = agent.task("patient", api.path)
    agent.connection.send(job.start)
    agent.read("patient.pid")

    processes = psutil.Process(agent.runtime.process.pid).children(recursive=True)
    assert len(processes) == 2
    assert not any(SECRET in word for process in processes for word in process.cmdline())


def test_a_connection_with_garbage_is_dropped_and_the_runtime_goes_on(agent, api):
    agent.connection.send_bytes(b"\x00\x00\x00\x04what")
    agent.connection.wait_closed()

    agent.connection, _ = agent.connect()
    assert agent.run(agent.task("succeed", api.path)).exit_code == 0


def test_a_second_runtime_for_the_same_folder_refuses(agent):
    second = subprocess.run(
        agent.runtime.command, env=agent.runtime.environment, capture_output=True, text=True, timeout=60
    )

    assert second.returncode == 4
    assert "another one serves" in second.stderr
    connection, _ = agent.connect()
    connection.close()


@pytest.mark.parametrize("count", [12])
def test_many_jobs_at_once(agent, api, count):
    jobs = [agent.task("succeed", api.path) for _ in range(count)]
    for job in jobs:
        agent.connection.send(job.start)

    assert [agent.connection.expect(JobExited, job=job).exit_code for job in jobs] == [0] * count
    assert len(api.of("PATCH", "/state")) == count


@pytest.mark.attack(10)
def test_what_a_task_leaves_behind_ends_with_it_wherever_it_has_gone(agent, api):
    job = agent.task("leave_behind", api.path)
    assert agent.run(job).exit_code == 0

    pids = agent.read("left.pids")
    assert len(pids) == 3
    # Before anybody hears of the task's end.
    assert [pid for pid in pids if is_alive(pid)] == []
    (state,) = api.of("PATCH", "/state")
    assert state.body["state"] == "success"
    # Among the task's own last lines: those come through a pipe, in their own time.
    assert stop.left_behind(3) in [line["event"] for line in job.log]


def test_what_a_task_has_spread_ends_though_its_supervisor_was_killed(agent, api):
    job = agent.task("leave_behind_and_go_on", api.path)
    agent.connection.send(job.start)
    supervisor = agent.connection.expect(JobStarted, job=job).pid
    pids = agent.read("going.pids")
    os.kill(supervisor, signal.SIGKILL)

    agent.connection.expect(JobExited, job=job)
    wait_for(lambda: not any(is_alive(pid) for pid in pids), "all of them to end", timeout=20)


def test_a_site_may_let_live_on_what_a_task_has_left(tmp_path, python, api):
    with RuntimeProcess.start(tmp_path / "site", python, site_environment, "--keep-children") as runtime:
        agent = AgentSide(runtime)
        api.run_id = agent.run_id
        job = agent.task("leave_quietly", api.path)
        assert agent.run(job).exit_code == 0
        pids = agent.read("quiet.pids")
        assert all(is_alive(pid) for pid in pids)
        agent.close()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
