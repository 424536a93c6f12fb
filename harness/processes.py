"""Child processes that are watched while they run and never left behind."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import psutil

from harness.waiting import wait_for

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_running: list[Process] = []


def let_children_hear_signals() -> None:
    """Have programs that are started from here take SIGHUP and SIGINT for what they are.

    A shell has us ignore the one with `nohup`, and the other in the background, and so would they.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def without_descriptors(pid: int = 0) -> Iterator[None]:
    """Let a process, by default this one, open nothing more: whatever would need a descriptor fails with EMFILE."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # What is open stays open. There is no number below this that is free.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        # Another one may have ended.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


class ProcessFailedError(Exception):
    """A child process ended or hung when it should not have; the message shows the end of its log."""


class Process:
    """A program running in a session of its own, its output in a log file.

    It ends with `stop` or `kill`, at the latest when this interpreter exits. On Linux the kernel sends it SIGTERM
    should the *thread* that started it die first, so start it from one that lives as long as it is needed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        user: int | None = None,
    ) -> None:
        """Start `command` with exactly the environment `env`; `user` is the uid to run as, where it is not ours."""
        self.name = name
        self.log = log
        self._start = partial(
            subprocess.Popen[bytes],
            [str(part) for part in command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            preexec_fn=_die_with_parent if _libc else None,
        )
        self.restart()

    def restart(self) -> None:
        """Start the program again after its end, as it was started at first."""
        with self.log.open("ab") as output:
            self._popen = self._start(stdout=output)
        if self not in _running:
            _running.append(self)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_status(self) -> int | None:
        """Exit status, negative for a signal, or None while it runs."""
        return self._popen.poll()

    def wait_ready(self, probe: Callable[[], object], *, timeout: float) -> None:
        """Wait until `probe` returns something true; `ProcessFailedError` if the process ends first, or the time."""

        def ready() -> bool:
            self.check()
            return bool(probe())

        try:
            wait_for(ready, f"{self.name} to be ready", timeout=timeout)
        except TimeoutError as error:
            raise ProcessFailedError(f"{error}\n{self.log_tail()}") from error

    def check(self) -> None:
        """Raise `ProcessFailedError` if it has ended."""
        if self.exit_status is not None:
            raise ProcessFailedError(f"{self.name} ended with status {self.exit_status}\n{self.log_tail()}")

    def wait(self, timeout: float) -> int:
        """Wait for its end and return its exit status; raises `ProcessFailedError` if it runs on after `timeout` s."""
        try:
            status = self._popen.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailedError(f"{self.name} still runs after {timeout:g} s\n{self.log_tail()}") from error
        self._forget()
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the process alone, not to its children."""
        self._popen.send_signal(number)

    def stop(self, *, gently: int = signal.SIGTERM, timeout: float = 15.0) -> None:
        """End it: the signal `gently`, and after `timeout` seconds SIGKILL for it and all its descendants."""
        stop_together([self], gently=gently, timeout=timeout)

    def kill(self) -> None:
        """End it and all its descendants with SIGKILL."""
        self._end(self.descendants())

    def kill_alone(self) -> None:
        """SIGKILL for the process, as a crash would: its descendants are left to themselves."""
        self._popen.kill()
        self._popen.wait()
        self._forget()

    def descendants(self) -> list[psutil.Process]:
        """Every process below this one now, in whatever session."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of its log, headed by the file's name."""
        text = self.log.read_text(errors="replace").rstrip("\n").split("\n")[-lines:]
        return "\n".join([f"--- {self.log}", *text])

    def _end(self, descendants: list[psutil.Process]) -> None:
        if self.exit_status is None:
            self._popen.kill()
        self._popen.wait()
        kill_processes(descendants)
        self._forget()

    def _forget(self) -> None:
        if self in _running:
            _running.remove(self)


def stop_together(processes: Iterable[Process], *, gently: int = signal.SIGTERM, timeout: float = 15.0) -> None:
    """Ask all to end at once; whoever has not within `timeout` seconds gets SIGKILL, with all its descendants."""
    doomed = [(process, process.descendants()) for process in processes]
    for process, _ in doomed:
        if process.exit_status is None:
            process.send_signal(gently)
    deadline = time.monotonic() + timeout
    for process, descendants in doomed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process._popen.wait(max(0.0, deadline - time.monotonic()))
        process._end(descendants)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Every process that works in `folder` or whose environment names it, whoever started it."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _belongs(process, folder)]


def kill_processes(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL for each, and wait until they are gone."""
    doomed = list(processes)
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(doomed, timeout=10)


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    timeout: float = 120.0,
    user: int | None = None,
) -> str:
    """Run a command to its end and return what it wrote to stdout; raises `ProcessFailedError` unless it exits 0."""
    result = subprocess.run(
        [str(part) for part in command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        user=user,
    )
    if result.returncode != 0:
        words = " ".join(str(part) for part in command)
        raise ProcessFailedError(f"`{words}` exited with {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


def stop_everything() -> None:
    """Stop all processes started here that still run."""
    stop_together(list(_running), timeout=5)


def _belongs(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder) or any(
            str(folder) in value for value in process.environ().values()
        )
    except psutil.Error:
        return False


def _die_with_parent() -> None:
    assert _libc is not None
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


atexit.register(stop_everything)
