"""A machine at a site, where a person types `airflow-edge`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.process.control import ask
from harness.processes import Process, kill_processes, processes_in
from harness.waiting import wait_for

DAGS = Path(__file__).parents[1] / "runtime" / "dags"
PROGRAM = Path(sys.executable).with_name("airflow-edge")

WRONG_CLOCK = """
import time
_right = time.time
time.time = lambda: _right() + {seconds}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The last line on stderr. Before it there are only those that say why something is tried again."""
        *before, line = self.err.splitlines()
        assert line.startswith("airflow-edge: "), line
        assert all(wait.startswith("waiting for up to ") for wait in before[1::2]), before
        return line


class Machine:
    """A bare environment with `airflow-edge` in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.state_dir = folder / "edge"
        self.environment = {"PATH": os.defpath, "HOME": str(folder), "AIRFLOW_HOME": str(folder), "LANG": "C.UTF-8"}
        self.environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)

    def type(self, *words: str, stdin: str = "", **environment: str) -> Said:
        """Run a command to its end."""
        done = subprocess.run(
            [PROGRAM, *words],
            env=self.environment | environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def start_worker(self, *words: str, **environment: str) -> Process:
        """Start `airflow-edge worker` in the foreground; its stderr is the process's log."""
        return Process(
            "worker",
            [PROGRAM, "worker", *words],
            env=self.environment | environment,
            cwd=self.folder,
            log=self.folder / "worker.log",
        )

    def status(self) -> dict[str, Any]:
        said = self.type("status")
        answer: dict[str, Any] = json.loads(said.out) if said.status == 0 else {"link": {"state": said.err}}
        return answer

    def wait_linked(self) -> None:
        """Wait until the worker is linked to the centre."""
        wait_for(self._is_linked, "the link", timeout=60)

    def _is_linked(self) -> bool:
        # As `status` does, but that is a process of its own: many of them delay what is waited for.
        try:
            return bool(ask(Config(state_dir=self.state_dir).control_socket, "status")["link"]["state"] == "linked")
        except AgentError:
            return False

    def wrong_clock(self, seconds: float) -> dict[str, str]:
        """What sets this machine's clock wrong."""
        place = self.folder / "clock"
        place.mkdir()
        (place / "sitecustomize.py").write_text(WRONG_CLOCK.format(seconds=seconds))
        return {"PYTHONPATH": str(place)}

    def close(self) -> None:
        kill_processes(processes_in(self.folder))
