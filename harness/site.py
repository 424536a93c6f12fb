"""A site: a worker's machine, as far as one folder and one bare environment can be one."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.process.control import ask
from harness.processes import Process, ProcessFailedError, kill_processes, processes_in, run

LINK_TIMEOUT = 60.0
"""Seconds a worker may take to link; it should take less than one, but tests run on busy machines."""


class Site:
    """One worker with its own home, state and Dags, which knows of the centre only what it is told.

    Its environment is PATH, HOME, LANG, where its folders are, and what is given; nothing of ours is inherited.
    """

    def __init__(
        self, folder: Path, *, venv: Path, dags: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Lay the site out in `folder`, with a link to the Dags in `dags`; `venv` is what is installed there."""
        self.folder = folder
        self.venv = venv
        self.state_dir = folder / "state"
        self.log = folder / "worker.log"
        self.worker: Process | None = None
        (folder / "home").mkdir(parents=True, exist_ok=True)
        self.env = {
            "PATH": f"{venv / 'bin'}{os.pathsep}{os.defpath}",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__EDGE__STATE_DIR": str(self.state_dir),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            **(environment or {}),
        }
        if dags is not None:
            (folder / "dags").symlink_to(dags, target_is_directory=True)
        else:
            # A worker without any Dag takes no task.
            (folder / "dags").mkdir(exist_ok=True)
            (folder / "dags" / "none.py").touch()

    def __enter__(self) -> Site:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def cli(self, *words: str, timeout: float = 60.0) -> str:
        """Run `airflow-edge …` at the site and return its stdout."""
        return run([self._program, *words], env=self.env, cwd=self.folder, timeout=timeout)

    def enroll(self, url: str, token: str, *, name: str) -> None:
        """Make the site's key pair and register its public half at the centre."""
        self.cli("enroll", url, token, "--name", name)

    def start_worker(
        self, *, concurrency: int = 8, queues: Sequence[str] = (), flags: Sequence[str] = (), linked: bool = True
    ) -> Process:
        """Start the worker, and unless told otherwise wait until it is linked to the centre."""
        options = ["--concurrency", str(concurrency), *flags]
        if queues:
            options += ["--queues", ",".join(queues)]
        self.worker = Process(
            f"worker of {self.folder.name}",
            [self._program, "worker", *options],
            env=self.env,
            cwd=self.folder,
            log=self.log,
        )
        if linked:
            self.worker.wait_ready(self.is_linked, timeout=LINK_TIMEOUT)
        return self.worker

    def status(self) -> dict[str, Any]:
        """What `airflow-edge status` tells, without a process of its own: it is asked again and again.

        Raises `ProcessFailedError` if no worker answers.
        """
        config = Config(state_dir=Path(self.env["AIRFLOW__EDGE__STATE_DIR"]))
        try:
            answer: dict[str, Any] = ask(config.control_socket, "status")
        except AgentError as error:
            raise ProcessFailedError(str(error)) from error
        return answer

    def is_linked(self) -> bool:
        """Whether the worker runs and is linked to the centre."""
        try:
            return bool(self.status()["link"]["state"] == "linked")
        except ProcessFailedError:
            return False

    def stop(self, *, drain: bool = False, timeout: float = 30.0) -> None:
        """End the worker: its tasks with it, or with `drain` when the last of them has ended."""
        if self.worker is not None:
            self.worker.stop(gently=signal.SIGINT if drain else signal.SIGTERM, timeout=timeout)
            self.worker = None

    def crash(self) -> None:
        """SIGKILL for the agent alone, as a crash would; its tasks are left to themselves."""
        assert self.worker is not None
        self.worker.kill_alone()
        self.worker = None

    def processes(self) -> list[psutil.Process]:
        """Every process of the site: the agent, the runtime, supervisors, tasks and their children."""
        found = {process.pid: process for process in processes_in(self.folder)}
        if self.worker is not None:
            found |= {process.pid: process for process in self.worker.descendants()}
        return list(found.values())

    def close(self) -> None:
        """Stop the worker and whatever else still runs at the site."""
        self.stop()
        kill_processes(self.processes())

    @property
    def _program(self) -> Path:
        return self.venv / "bin" / "airflow-edge"
