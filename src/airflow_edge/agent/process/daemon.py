"""A worker's process: alone in its state folder, in the background where that is asked for, and told by signals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

from airflow_edge.agent.errors import AgentError, AlreadyRunningError, unusable
from airflow_edge.agent.process import keeper
from airflow_edge.site.files import make_way

log = logging.getLogger(__name__)

_BEGUN_AGAIN: Final = "_AIRFLOW_EDGE_BEGUN_AGAIN"
"""The environment variable with the pid of a process that has begun again."""
_NEEDED: Final = ("airflow_edge", "msgspec", "nacl", "psutil", "websockets")
"""Of the agent's packages, each of another distribution."""


@contextlib.contextmanager
def pid_file(path: Path) -> Iterator[int]:
    """Hold a file with this process's pid, locked while it lives: a dead one's file is known by its missing lock.

    The value is the descriptor that has the lock.

    :raises AlreadyRunningError: a living worker has it.
    :raises AgentError: the file cannot be written.
    """
    descriptor: int | None = None
    try:
        while descriptor is None:
            descriptor = _try_lock(path)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        with contextlib.suppress(OSError):
            # On a full disk nobody is told the pid; the lock is what counts.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield descriptor
    finally:
        with contextlib.suppress(OSError):
            # Without its lock it counts for nothing.
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    make_way(path)
    # Root may be who asks (`airflow-edge enroll`), in the folder of another user: nothing of root's is to be emptied.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise AgentError(f"{path} is a link, and what it leads to would be overwritten; remove it") from error
        raise
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, descriptor)
        if os.fstat(descriptor).st_nlink > 1:
            raise AgentError(f"{path} is a file that has another name, too, and would be overwritten; remove it")
        try:
            # Only a worker lets nobody share the lock; who has waited for its end has a share for a moment.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise AlreadyRunningError(
                f"a worker is already running here (pid {owner or 'not known yet'}, {path}); stop it with "
                "`airflow-edge stop`, or give this one another folder with --state-dir"
            ) from None
        # Whoever had the lock before may have removed the file since we opened it.
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                closing.pop_all()
                return descriptor
    return None


def wait_for_end(path: Path) -> None:
    """Wait until no worker holds that pid file, wherever it runs: its pid means nothing in another PID namespace."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def begin_again() -> NoReturn:
    """Carry out this process's command line once more, in the same process; `has_begun_again` tells the new one."""
    if (kept := keeper.here()) is not None:
        kept.hand_on()
    again = {**os.environ, _BEGUN_AGAIN: str(os.getpid())}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], again)  # noqa: S606 - our own command line


def check_program() -> None:
    """See that what `begin_again` would run is there, as it is not in the middle of an upgrade.

    :raises AgentError: a part of it is not.
    """
    parts = [sys.executable, *(part for part in sys.orig_argv[1:2] if not part.startswith("-"))]
    parts += [sys.modules[name].__file__ or "" for name in _NEEDED if name in sys.modules]
    for part in parts:
        if not Path(part).exists():
            raise AgentError(f"{part} is not there; install it again")


def has_begun_again() -> bool:
    """Whether this process has done all this before, going into the background too. To be asked once, at the start."""
    return os.environ.pop(_BEGUN_AGAIN, None) == str(os.getpid())


def detach(*, umask: int, stdout: Path | None, stderr: Path | None) -> int:
    """Go on in the background: in a session of its own, without a terminal. Call it before any thread is started.

    It stays in its folder: what is relative in its command line and environment means there what it meant, for the
    runtime, and for this process when it begins again.

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
        try:
            return int(background)
        except ValueError:
            raise AgentError(
                "the worker's process in the background did not say its pid; see `airflow-edge status`"
            ) from None
    os.close(reader)
    os.setsid()
    # A session's leader could get a terminal again by opening one; its child cannot.
    if os.fork():
        os._exit(0)
    os.umask(umask)
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
        log.warning(
            "SIGHUP is ignored here, as under nohup: it will not have this worker leave its tasks to the next one; "
            "start it with `airflow-edge worker -D` instead, or end it with SIGKILL for that"
        )
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
