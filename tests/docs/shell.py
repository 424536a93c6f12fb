"""A bash in which the tests type what a page says."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil

from harness.processes import kill_processes, processes_in
from harness.waiting import wait_for

PATIENCE = 400.0
"""Seconds that a command may take; a whole Airflow takes minutes to start on a busy machine."""
LAST_PATIENCE = 60.0
"""Seconds that something may take to end."""


@dataclass
class Service:
    """A command that stays in the foreground, as somebody leaves it in a shell of its own."""

    pid: int
    output: Path

    def shows(self, words: str) -> bool:
        return words in self.output.read_text(errors="replace")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self.pid, signal.SIGINT)


@dataclass
class Shell:
    """One shell: what one command sets, or where it goes, counts for the next one."""

    folder: Path
    """For what commands print; everything that is started from the shell is found by it."""
    env: Mapping[str, str]
    cwd: Path
    services: list[Service] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._numbers = count(1)
        self._answers, pipe = os.pipe()
        # Not one of the digits, which the shell has uses for.
        write = fcntl.fcntl(pipe, fcntl.F_DUPFD, 10)
        os.close(pipe)
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            env={**self.env, "DOCS_SHELL": str(self.folder)},
            cwd=self.cwd,
            pass_fds=[write],
            start_new_session=True,
        )
        # Job control, as in a shell with a terminal: what goes on in the background hears SIGINT.
        self._write(f"exec 9>&{write} {write}>&-; set -m\n")
        os.close(write)

    def close(self) -> None:
        """End the shell and whatever was started from it."""
        # Some programs write their title over their environment, by which the others are found.
        begun = {process for process in psutil.process_iter() if _session(process) == self._bash.pid}
        for process in [*begun]:
            # A worker's runtime is in a session of its own.
            with suppress(psutil.NoSuchProcess):
                begun.update(process.children(recursive=True))
        self._bash.kill()
        self._bash.wait()
        kill_processes(begun)
        os.close(self._answers)
        kill_processes(processes_in(self.folder))

    def type(self, command: str) -> tuple[int, str]:
        """Run a command to its end; give its exit status and all that it printed."""
        output = self.folder / f"{next(self._numbers)}.out"
        # Programs that go on in the background must not hold the pipe on which the shell answers.
        self._write(f"{{ {command}\n}} >{output} 2>&1 </dev/null 9>&-\nprintf '%s\\n' $? >&9\n")
        answer = self._answer(f"{command}\n{output}")
        return int(answer), output.read_text(errors="replace")

    def start(self, command: str) -> Service:
        """Start a command that goes on."""
        output = self.folder / f"{next(self._numbers)}.out"
        output.touch()
        self._write(f"{command} >{output} 2>&1 </dev/null 9>&- &\nprintf '%s\\n' $! >&9\n")
        service = Service(int(self._answer(command)), output)
        self.services.append(service)
        return service

    def interrupt(self, service: Service) -> tuple[int, str]:
        """Press Ctrl-C and wait for the command's end."""
        self.services.remove(service)
        service.interrupt()
        self._write(f"wait {service.pid}; printf '%s\\n' $? >&9\n")
        return int(self._answer(f"the end of {service.pid}")), service.output.read_text(errors="replace")

    def stop(self, service: Service) -> None:
        """Press Ctrl-C, and close the window on what does not end of it.

        Each process of a whole Airflow hears of it twice, from the terminal and from its parent, and in some the second
        signal comes while the first is being logged: those wait for themselves for ever.
        """
        self.services.remove(service)
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            process = psutil.Process(service.pid)
            family = [process, *process.children(recursive=True)]
            service.interrupt()
            _, left = psutil.wait_procs(family, timeout=LAST_PATIENCE)
            kill_processes(left)

    def until_shown(self, service: Service, words: str) -> None:
        """Wait until a service has printed this."""
        try:
            wait_for(lambda: service.shows(words), f"'{words}'", timeout=PATIENCE)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{service.output.read_text(errors='replace')[-6000:]}") from None

    def _write(self, text: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(text.encode())
        self._bash.stdin.flush()

    def _answer(self, what: str) -> str:
        deadline = time.monotonic() + PATIENCE
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"after {PATIENCE:g} s there is no end of: {what}"
            piece = os.read(self._answers, 1)
            assert piece, f"the shell answers no more (it ended with {self._bash.poll()}) at: {what}"
            line += piece
        return line.decode().strip()


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None
