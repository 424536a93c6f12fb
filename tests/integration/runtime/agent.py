"""The agent as far as the runtime sees it: a process that starts it, and a connection to its socket."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil
from msgspec.structs import replace

from airflow_edge.protocol.local import (
    JOB_FILE,
    LOG_FILE,
    OUTCOME_FILE,
    OUTCOME_RESERVE,
    OUTCOME_RESERVE_FILE,
    JobExited,
    JobFile,
    LocalMessage,
    Outcome,
    RuntimeHello,
    StartJob,
    StopJob,
    ToAgent,
    ToRuntime,
    decode_for_agent,
    encode_local,
    split_frames,
)
from airflow_edge.site.pipes import close, filled
from harness.processes import Process, kill_processes, processes_in
from harness.waiting import wait_for

M = TypeVar("M", bound=LocalMessage)

SECRET = "the secret of one job"
WORKER = "press-7"


class Job:
    """A job's folder, as the agent prepares it."""

    def __init__(self, folder: Path, workload: dict, *, kind: str = "task", api_socket: Path) -> None:
        self.job_id = str(uuid.uuid4())
        self.folder = folder / f"{self.job_id}.1"
        self.folder.mkdir(parents=True)
        file = JobFile(
            job_id=self.job_id,
            assignment=1,
            kind=kind,  # type: ignore[arg-type]
            worker_name=WORKER,
            workload=json.dumps(workload),
            api_socket=str(api_socket),
            log_path=workload.get("log_path", ""),
        )
        (self.folder / JOB_FILE).write_bytes(msgspec.json.encode(file))
        (self.folder / OUTCOME_RESERVE_FILE).write_bytes(bytes(OUTCOME_RESERVE))

    @property
    def start(self) -> StartJob:
        return StartJob(job_id=self.job_id, assignment=1, folder=str(self.folder))

    @property
    def outcome(self) -> Outcome:
        return msgspec.json.decode((self.folder / OUTCOME_FILE).read_bytes(), type=Outcome)

    @property
    def log(self) -> list[dict]:
        return [json.loads(line) for line in (self.folder / LOG_FILE).read_text().splitlines()]


class Connection:
    """One connection to the runtime."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._buffer = bytearray()
        self.seen: list[ToAgent] = []

    def send(self, message: ToRuntime, secret: str = SECRET) -> None:
        if isinstance(message, StartJob):
            pipe = filled(secret)
            socket.send_fds(self._socket, [encode_local(replace(message, piped=True))], [pipe])
            close(pipe)
        else:
            self._socket.sendall(encode_local(message))

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def expect(self, kind: type[M], *, job: Job | None = None, job_id: str = "", timeout: float = 60.0) -> M:
        """Wait for a message of a kind, about a job; those before it are kept in `seen`."""
        wanted = job.job_id if job else job_id
        deadline = time.monotonic() + timeout
        while True:
            for message in self.seen:
                if isinstance(message, kind) and wanted in {"", getattr(message, "job_id", "")}:
                    self.seen.remove(message)
                    return message
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError(f"the runtime hung up before {kind.__name__}; it said {self.seen}")
            self._buffer += data
            self.seen += [decode_for_agent(frame) for frame in split_frames(self._buffer)]

    def wait_closed(self, timeout: float = 30.0) -> None:
        """Wait until the runtime hangs up, whatever it says before."""
        self._socket.settimeout(timeout)
        # Reset: it had not read everything.
        with contextlib.suppress(ConnectionResetError):
            while self._socket.recv(65536):
                pass

    def close(self) -> None:
        self._socket.close()


class RuntimeProcess:
    """A warm runtime."""

    def __init__(self, folder: Path, command: list[str | Path], environment: dict[str, str]) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.socket = self.state_dir / "runtime.sock"
        self.command = command
        self.environment = environment
        self.process = Process("runtime", command, env=environment, cwd=folder, log=folder / "runtime.log")
        self.process.wait_ready(self.socket.exists, timeout=120)

    @classmethod
    @contextmanager
    def start(
        cls, folder: Path, python: Path, environment: Callable[[Path], dict[str, str]], *flags: str
    ) -> Iterator[RuntimeProcess]:
        (folder / "home").mkdir(parents=True)
        (folder / "state").mkdir(mode=0o700)
        command: list[str | Path] = [python, "-m", "airflow_edge.runtime", "--state-dir", folder / "state", *flags]
        runtime = cls(folder, command, environment(folder))
        try:
            yield runtime
        finally:
            runtime.process.kill()
            kill_processes(processes_in(folder))


class AgentSide:
    """One agent's connection to a runtime, and its jobs. What its tasks write is in `folder`."""

    def __init__(self, runtime: RuntimeProcess) -> None:
        self.runtime = runtime
        self.run_id = f"run-{uuid.uuid4().hex[:8]}"
        self.folder = runtime.folder / self.run_id
        self.folder.mkdir()
        self.connection = wait_for(self._connect, "the runtime to listen", timeout=10)
        self.hello = self.connection.expect(RuntimeHello)

    def close(self) -> None:
        """End the jobs that are left, and the connection."""
        with contextlib.suppress(OSError):
            self.connection.close()
            connection, hello = self.connect()
            for job in hello.jobs:
                connection.send(StopJob(job_id=job.job_id, assignment=job.assignment, grace=0))
            for job in hello.jobs:
                connection.expect(JobExited, job_id=job.job_id)
            connection.close()

    def connect(self) -> tuple[Connection, RuntimeHello]:
        """Connect anew, as another agent would."""
        connection = Connection(self.runtime.socket)
        return connection, connection.expect(RuntimeHello)

    def task(self, task_id: str, api_socket: Path, *, jobs: Path | None = None, dag: str = "sample") -> Job:
        """Prepare a job that runs a task of a Dag in `dags`; `jobs` is the folder of jobs, the usual by default."""
        workload = {
            "type": "ExecuteTask",
            "token": "",
            "ti": {
                "id": str(uuid.uuid4()),
                "dag_version_id": str(uuid.uuid4()),
                "dag_id": dag,
                "task_id": task_id,
                "run_id": self.run_id,
                "try_number": 1,
                "map_index": -1,
                "pool_slots": 1,
                "queue": "default",
                "priority_weight": 1,
                "context_carrier": {},
            },
            "dag_rel_path": f"{dag}.py",
            "bundle_info": {"name": "dags-folder", "version": None},
            "log_path": f"dag_id={dag}/task_id={task_id}/attempt=1.log",
        }
        return Job(jobs or self.runtime.state_dir / "jobs", workload, api_socket=api_socket)

    def callback(self, path: str, kwargs: dict, api_socket: Path) -> Job:
        """Prepare a job that runs a callback."""
        workload = {
            "type": "ExecuteCallback",
            "token": "",
            "callback": {
                "id": str(uuid.uuid4()),
                "fetch_method": "import_path",
                "data": {"path": path, "kwargs": kwargs},
            },
            "dag_rel_path": "sample.py",
            "bundle_info": {"name": "dags-folder", "version": None},
            "log_path": "executor_callbacks/sample/run/1",
        }
        return Job(self.runtime.state_dir / "jobs", workload, kind="callback", api_socket=api_socket)

    def test(self, api_socket: Path) -> Job:
        """Prepare a test job."""
        return Job(self.runtime.state_dir / "jobs", {}, kind="test", api_socket=api_socket)

    def run(self, job: Job, secret: str = SECRET) -> JobExited:
        """Start a job and wait for its end."""
        self.connection.send(job.start, secret)
        return self.connection.expect(JobExited, job=job)

    def read(self, name: str) -> list[int]:
        """Wait for a file in which a task writes its process ids."""
        file = self.folder / name
        text = wait_for(lambda: file.read_text() if file.exists() else None, name, timeout=60, interval=0.02)
        return [int(word) for word in text.split()]

    def _connect(self) -> Connection | None:
        try:
            return Connection(self.runtime.socket)
        except OSError:
            return None


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than its exit status."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
