"""What happens in a forked process: it becomes the supervisor of one job, writes how that ended, and exits."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import ssl
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec
from airflow.sdk.api.client import Client

from airflow_edge.protocol.local import JOB_FILE, LOG_FILE, SUPERVISOR_PID_FILE, JobFile, Outcome
from airflow_edge.runtime import compat, parsing
from airflow_edge.runtime.environment import WORKER_NAME_VARIABLE, set_title
from airflow_edge.runtime.outcome import count_oom_kills, describe_exit, write_outcome
from airflow_edge.site.kernel import CAP_KILL, User, become, become_subreaper, limit_capabilities
from airflow_edge.site.pipes import emptied
from airflow_edge.site.processes import end_children, hold_pid_file, is_shortage, no_process
from airflow_edge.site.stop import ended, left_behind, note, stop_of

if TYPE_CHECKING:
    import httpx
else:
    httpx = compat.HTTP

API_URL = "http://edge/"
"""The Execution API's base URL. Its host is never looked up: the way there is a Unix socket."""

RETRY_INTERVAL = 0.2
"""Seconds between two attempts to reach an agent that is away."""

_AGENT_AWAY = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
_LONGEST_REASON = 1000


class AgentTransport(httpx.HTTPTransport):
    """Sends requests to the agent, and waits for the next agent when one dies: the task must not notice.

    A request that the dead agent may have passed on is sent again as it was, its correlation id included. Airflow's
    calls that matter bear that: `/run` is answered alike for the same process.
    """

    def __init__(self, api_socket: str) -> None:
        # Left alone, it would load the system's certificates for each task: 20 ms.
        super().__init__(uds=api_socket, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)
        self.used = False
        """Whether a call was made: before the first, nothing of the task has happened."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, however long it takes. Only a heartbeat is not waited for: that would hold up the log."""
        self.used = True
        while True:
            try:
                return super().handle_request(request)
            except _AGENT_AWAY:
                if request.url.path.endswith("/heartbeat"):
                    return httpx.Response(204, request=request)
                time.sleep(RETRY_INTERVAL)


def nothing() -> None:
    """Do nothing."""


def supervise(
    folder: Path,
    output: int,
    secret: int | None,
    prepare: Callable[[], None] = nothing,
    *,
    keep_children: bool = False,
    task_user: User | None = None,
) -> NoReturn:
    """Run the job of this folder to its end and exit; call it in a fresh fork, with everything inherited closed.

    :param output: descriptor of the file for what the supervisor itself says
    :param secret: descriptor of a pipe with what opens the agent's Execution API; None where the job's file has it
    :param prepare: loads what was not to be loaded before the fork
    :param keep_children: whether what the task has started may live on when it has ended
    :param task_user: whose the task is to be; None for this process's own
    """
    status = 1
    try:
        opens = "" if secret is None else emptied(secret)
        _settle_in(output)
        pid_file = -1
        with contextlib.suppress(OSError):
            # Without it, it is found by its output, as long as Airflow lets others see that.
            pid_file = hold_pid_file(folder / SUPERVISOR_PID_FILE)
        if not keep_children:
            become_subreaper()
            compat.end_with_task(lambda: _end_what_is_left(folder))
        if task_user is not None:
            _separate(task_user, pid_file)
        job = msgspec.json.decode((folder / JOB_FILE).read_bytes(), type=JobFile)
        set_title(f"airflow-edge supervisor: {job.job_id}")
        outcome = _run(job, folder, opens or job.secret, prepare)
        if not keep_children:
            _end_what_is_left(folder)
        status = outcome.exit_code
        write_outcome(folder, outcome)
    except BaseException:  # noqa: BLE001
        # Above this is only the server's loop, which must not go on in this process.
        status = status or 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def api_client(transport: AgentTransport, secret: str) -> Client:
    """Make Airflow's client of the Execution API, for the one that the agent serves."""
    # No time limit: the agent holds a call for as long as the centre is away.
    return Client(base_url=API_URL, token=secret, transport=transport, timeout=None)


def _settle_in(output: int) -> None:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nowhere)
    os.close(output)
    if numpy := sys.modules.get("numpy.random"):
        # Python's own generator is seeded anew with each fork, this one is not.
        numpy.seed()
    gc.enable()


def _separate(user: User, pid_file: int) -> None:
    """Have the task be another user's: this process and all that it has open stay the agent's."""

    def be_another() -> None:
        with contextlib.suppress(OSError):
            os.close(pid_file)
        become(user)
        os.environ.update(HOME=user.home, USER=user.name, LOGNAME=user.name)
        with contextlib.suppress(OSError):
            os.chdir(user.home)

    compat.run_tasks_as(be_another, lambda: limit_capabilities((CAP_KILL,)))


def _end_what_is_left(folder: Path) -> None:
    """End what the task has left behind, before anybody hears of its end."""
    try:
        if (count := end_children()) and not stop_of(folder):
            note(folder, left_behind(count))
    except OSError as error:
        # The runtime gets it, and goes on trying.
        sys.stderr.write(f"what the task has left behind cannot be ended now: {error}\n")


def _run(job: JobFile, folder: Path, secret: str, prepare: Callable[[], None]) -> Outcome:
    os.environ[WORKER_NAME_VARIABLE] = job.worker_name
    oom_kills = count_oom_kills()
    compat.expect_signals(lambda: stop.signal if (stop := stop_of(folder)) else None)
    if job.terms is not None:
        parsing.let_run_as(job.terms)
    transport = AgentTransport(job.api_socket)
    try:
        prepare()
        with api_client(transport, secret) as client:
            status = compat.run_workload(job.kind, job.workload, client=client, log_path=str(folder / LOG_FILE))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is how the job ended
        traceback.print_exc()
        if is_shortage(error) and not transport.used:
            return Outcome(**job.key._asdict(), exit_code=1, reason=no_process(error), unbegun=True)
        # An error of Airflow's client says only in its detail what the server has against the call.
        words = f"{type(error).__name__}: {error} {getattr(error, 'detail', '')}"
        return Outcome(**job.key._asdict(), exit_code=1, reason=" ".join(words.split())[:_LONGEST_REASON])
    stop = stop_of(folder)
    if stop is not None:
        note(folder, ended(stop.reason))
    code, reason = describe_exit("the task's process", status, stop=stop, oom_kills=count_oom_kills() - oom_kills)
    return Outcome(**job.key._asdict(), exit_code=code, reason=reason)
