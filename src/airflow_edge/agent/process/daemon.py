"""A worker's process: alone in its state folder, in the background where that is asked for, and told by signals."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from airflow_edge.agent.errors import AgentError, AlreadyRunningError


@contextlib.contextmanager
def pid_file(path: Path) -> Iterator[None]:
    """Hold a file with this process's pid, locked while it lives: a dead one's file is known by its missing lock.

    :raises AlreadyRunningError: a living worker has it.
    :raises AgentError: the file cannot be written.
    """
    descriptor: int | None = None
    try:
        while descriptor is None:
            descriptor = _try_lock(path)
    except OSError as error:
        raise AgentError(f"the pid file {path} cannot be used ({error.strerror}); choose another place") from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise AlreadyRunningError(
                f"a worker is already running here (pid {owner or 'not known yet'}, {path}); stop it with "
                "`airflow-edge stop`, or give this one another folder with --state-dir"
            ) from None
        # Whoever had the lock before may have removed the file since we opened it.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                closing.pop_all()
                return descriptor
    return None


def detach(*, umask: int, stdout: Path | None, stderr: Path | None) -> int:
    """Go on in the background: in a session of its own, without a terminal. Call it before any thread is started.

    :param stdout: file to append to; None for nowhere
    :return: in the foreground the pid of the process in the background, and there 0
    :raises AgentError: an output file cannot be opened, and nothing was forked; or the process there ended at once.
    """
    outputs = [_open_output(path) for path in (stdout, stderr)]
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        for descriptor in outputs:
            os.close(descriptor)
        with os.fdopen(reader, "rb") as answers:
            background = answers.read()
        os.waitpid(child, 0)
        if not background:
            raise AgentError("the worker's process ended before it was in the background; its log may say why")
        return int(background)
    os.close(reader)
    os.setsid()
    # A session's leader could get a terminal again by opening one; its child cannot.
    if os.fork():
        os._exit(0)
    os.umask(umask)
    os.chdir("/")
    with contextlib.ExitStack() as closing:
        for descriptor, target in zip((os.open(os.devnull, os.O_RDONLY), *outputs), (0, 1, 2), strict=True):
            closing.callback(os.close, descriptor)
            os.dup2(descriptor, target)
    os.write(writer, str(os.getpid()).encode("ascii"))
    os.close(writer)
    return 0


@contextlib.contextmanager
def handled(
    *, interrupt: Callable[[], None], terminate: Callable[[], None], hang_up: Callable[[], None]
) -> Iterator[None]:
    """Have the running loop call these, and leave the signals as Python has them by default."""
    loop = asyncio.get_running_loop()
    handlers = {
        signal.SIGINT: interrupt,
        signal.SIGTERM: terminate,
        # Also what a terminal sends that is closed.
        signal.SIGHUP: hang_up,
    }
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # Whoever started it with nohup wants it to stay.
        del handlers[signal.SIGHUP]
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


def _open_output(path: Path | None) -> int:
    if path is None:
        return os.open(os.devnull, os.O_WRONLY)
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise AgentError(f"{path} cannot be written ({error.strerror}); choose another file") from error
