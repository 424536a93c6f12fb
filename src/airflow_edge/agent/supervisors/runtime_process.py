"""A runtime's process, as far as it was started here: when it ended, how often, and what its last words were."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from airflow_edge.agent.config import Config
from airflow_edge.agent.process import keeper
from airflow_edge.protocol.local import GENERATION_VARIABLE
from airflow_edge.protocol.messages import one_line
from airflow_edge.site import secrets
from airflow_edge.site.files import make_way
from airflow_edge.site.processes import no_process

log = logging.getLogger(__name__)

ANOTHER_RUNS = 4
"""The exit status of a runtime that found another one at its socket."""
SLOW_START = 15.0
"""Seconds after which it is said that a runtime is not ready."""
MANY = 3
"""Ends in a row after which a runtime is not believed in at once when it is ready again."""
LONGEST_TAIL = 4000
LONGEST_WORDS = 300


class RuntimeProcess:
    """Starts a runtime after the other, and keeps what there is to say of those that have ended."""

    def __init__(self, config: Config, socket: Path) -> None:
        self._config = config
        self._socket = socket
        self._process: subprocess.Popen[bytes] | keeper.KeptRuntime | None = None
        self._began = 0.0
        self._log_begins = 0
        """Where in the log this start's part begins."""
        self._ends = 0
        """How many have ended since one was last seen to work."""
        self._words = ""
        """How the last of them ended."""
        self._told = ""
        self._other_told = False

    @property
    def started(self) -> bool:
        """Whether there is one of whose end nothing is known."""
        return self._process is not None

    @property
    def failed(self) -> bool:
        """Whether the last one has ended, and none was seen to work since."""
        return self._ends > 0

    @property
    def ended_often(self) -> bool:
        """Whether it is to prove itself for a while before it is given jobs."""
        return self._ends >= MANY

    @property
    def condition(self) -> str:
        """Why there is no runtime, for a person; empty if that is not known to be anybody's fault."""
        if self._ends:
            times = "once" if self._ends == 1 else f"{self._ends} times"
            return f"the runtime ended {times}: {self._words}"
        if self._process is not None and time.monotonic() - self._began > SLOW_START:
            return (
                f"the runtime (pid {self._process.pid}) is not ready after {SLOW_START:g} s; see what it waits "
                f"for, a slow disk or a name that is not resolved, say; {self._config.runtime_log} may tell"
            )
        return ""

    def start(self, environment: dict[str, str]) -> bool:
        """Start one. That no process is to be had is noted as an end, and gives False.

        :raises OSError: its log cannot be written.
        """
        config = self._config
        if not self._ends:
            log.info("starting the runtime")
        make_way(config.runtime_log)
        output = os.open(config.runtime_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._log_begins = os.fstat(output).st_size
            self._began = time.monotonic()
            if (kept := keeper.here()) is not None:
                self._process = kept.start(environment[GENERATION_VARIABLE], output)
            else:
                # What a process is started with stays to be read in it and in its forks, each task among them.
                secrets.hide(environment)
                self._process = subprocess.Popen(
                    runtime_command(config),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # Signals for the agent, from a terminal for example, are not for the tasks.
                    start_new_session=True,
                )
        except (OSError, MemoryError) as error:
            self._note_end(no_process(error), "")
            return False
        finally:
            os.close(output)
        return True

    def running(self, *, retiring: bool) -> bool:
        """Whether the one that was started here lives; its end is noted, unless it was told to retire."""
        if self._process is None:
            return False
        status = self._process.poll()
        if status is None:
            return True
        self._process = None
        if status == ANOTHER_RUNS:
            if not self._other_told:
                log.info("another runtime is starting already; it is waited for")
            self._other_told = True
        elif not retiring:
            said = self._said()
            last = next((line for line in reversed(said.split("\n")) if line.strip()), "it said nothing")
            self._note_end(f"{one_line(last, LONGEST_WORDS)} ({_how(status)})", said)
        return False

    def works(self) -> None:
        """A runtime is there, and works: what was before does not count any more."""
        if self._ends:
            log.info("the runtime works again")
        self._ends, self._words, self._told = 0, "", ""

    def forget(self) -> None:
        """The one that was started is none of ours any more."""
        self._process, self._other_told = None, False

    def terminate(self) -> None:
        """End the one that was started here."""
        if self._process is not None:
            self._process.terminate()

    def _note_end(self, words: str, said: str) -> None:
        self._ends += 1
        self._words = words
        # Once, however often it is tried.
        if words != self._told:
            log.error("the runtime ended: %s\n%s", words, said)
        self._told = words

    def _said(self) -> str:
        """Give the last whole lines of what it has said since it was started."""
        with contextlib.suppress(OSError), self._config.runtime_log.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            # It begins a new file when this one is long.
            begin = self._log_begins if self._log_begins <= size else 0
            cut = size - begin > LONGEST_TAIL
            source.seek(size - LONGEST_TAIL if cut else begin)
            text = source.read(LONGEST_TAIL).decode(errors="replace")
            whole = text.partition("\n")[2] if cut else text
            return whole if whole.strip() else text
        return ""


def runtime_command(config: Config) -> list[str]:
    """Give the command line of a runtime for this worker."""
    users = (f"--agent-user={config.agent_user}", f"--task-user={config.task_user}")
    return [
        # With two users it begins as root, and the folder that root was in may be one that tasks write to.
        *(interpreter(), "-P", "-m", "airflow_edge.runtime"),
        f"--state-dir={config.state_dir}",
        f"--socket={config.runtime_socket}",
        f"--log-file={config.runtime_log}",
        f"--log-max-size={config.worker_log_max_size}",
        f"--log-backups={config.worker_log_backups}",
        *([] if config.open_files is None else [f"--open-files={config.open_files}"]),
        *(["--keep-children"] if config.keep_children else []),
        *(users if config.agent_user and config.task_user else []),
    ]


def interpreter() -> str:
    """Give the Python of the runtime, by that of its names which a rule of sudo for `run_as_user` has: `python`.

    Programs that pip installs have another one in their first line, `python3` or `python3.12`, by how it was called.
    """
    named = Path(sys.executable).with_name("python")
    with contextlib.suppress(OSError):
        return str(named) if named.samefile(sys.executable) else sys.executable
    return sys.executable


def _how(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    with contextlib.suppress(ValueError):
        return f"signal {-status}, {signal.Signals(-status).name}"
    return f"signal {-status}"
