"""The processes of a job. Each supervisor leads a session of its own: so what it leaves behind is found.

A process lives, is gone, or it cannot be known which. Gone is only what the kernel says is not there; all that goes
wrong besides is an `OSError`, upon which nobody is taken for dead, and which is worth another attempt.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from airflow_edge.site.kernel import children, peer

_ROUNDS = 5
"""A process may fork while it is being killed; its child is found in the next round."""

_PAUSE = 0.002

_SHORTAGES = frozenset(
    {
        *(errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESHUTDOWN),
    }
)


def is_shortage(error: BaseException) -> bool:
    """Whether the machine lacks something now that it may have later."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORTAGES)


def no_process(error: BaseException) -> str:
    """Say why no process could be started, and what to do about it."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    match getattr(error, "errno", errno.ENOMEM):
        case errno.EAGAIN:
            advice = (
                "this user or container has as many as it may; raise the limit (TasksMax= in the systemd unit, "
                "`ulimit -u`, the container's pids limit), or end what is not needed"
            )
        case errno.ENOMEM:
            advice = "the machine has no memory for one; end what is not needed, or lower [edge] worker_concurrency"
        case errno.EMFILE | errno.ENFILE:
            advice = "raise the limit of open files (LimitNOFILE= in the systemd unit, `ulimit -n`)"
        case errno.ESHUTDOWN:
            advice = "another runtime takes its place"
        case _:
            advice = "see that the state folder can be written to and has room"
    return f"no process can be started ({words}): {advice}"


def find(pid: int) -> psutil.Process | None:
    """Give the process that has this pid now, by which it is recognised from then on; None if there is none."""
    with _unknown_is_an_error():
        try:
            process = psutil.Process(pid)
            # By this it is recognised; the library passes over it where it may not be read.
            process.create_time()
        except psutil.NoSuchProcess:
            return None
    return process


def lives(process: psutil.Process) -> bool:
    """Whether it is still there. What nobody has reaped yet is gone all the same."""
    with _unknown_is_an_error():
        try:
            now = psutil.Process(process.pid)
            now.create_time()
            return now == process and now.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return _is_hidden(process.pid)


def hold_pid_file(path: Path) -> int:
    """Have others know this process by a file, until it ends: the lock on it says whether it lives.

    Airflow's supervisor keeps others of its own user from looking into it (PR_SET_DUMPABLE), and at what it has open.
    Where there can be no lock, no file is left.

    :return: its descriptor, to be closed in a child that is not to write there
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # One of the process: no child has it, and only its end gives it up.
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return descriptor


def holder(path: Path) -> int | None:
    """Give the pid of the process that holds a file with `hold_pid_file`; None if none does, or any more.

    :raises FileNotFoundError: none ever has.
    :raises OSError: it cannot be known.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except NotADirectoryError as error:
        raise FileNotFoundError(error.errno, error.strerror) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(errno.ENOENT, f"{path} is no file")
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise
        text = os.pread(descriptor, 32, 0).strip()
        if not text.isdigit():
            # It has the lock since a moment ago.
            raise OSError(errno.EAGAIN, f"{path} does not say yet whose it is") from None
        return int(text)
    finally:
        os.close(descriptor)
    return None


def is_the_one(connection: socket.socket, lock: Path | None) -> bool:
    """Whether the other end of a Unix socket is who holds this file with flock(2); where nobody does, any of this user.

    A process of another PID namespace cannot be told from it, and counts as it.
    """
    found = peer(connection)
    if found is None:
        return True
    if found.uid not in {0, os.geteuid()}:
        return False
    wanted = None if lock is None else _flock_holder(lock)
    return wanted is None or found.pid in {0, wanted}


def _flock_holder(path: Path) -> int | None:
    """Give the pid in a file that somebody holds; None if nobody does, or it does not say."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else None
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def terminate_task(supervisor: int) -> bool:
    """Send SIGTERM to the task, so that its `on_kill` runs; False if the supervisor has no child (yet, or any more).

    A task that leads a process group (Airflow 3.3) gets it with its whole group, as from Airflow's own supervisor.
    """
    with _unknown_is_an_error():
        try:
            children = psutil.Process(supervisor).children()
        except psutil.NoSuchProcess:
            return False
    for child in children:
        with _unless_gone():
            if os.getpgid(child.pid) == child.pid and lives(child):
                os.killpg(child.pid, signal.SIGTERM)
            else:
                _signal(child, signal.SIGTERM)
    return bool(children)


def kill_session(supervisor: int) -> None:
    """SIGKILL whatever is in the supervisor's session or descends from it, except the supervisor."""
    for _ in range(_ROUNDS):
        doomed = _below(supervisor)
        if not doomed:
            break
        for process in doomed:
            _signal(process, signal.SIGKILL)


def end_children(spare: Callable[[int], bool] = lambda pid: False, patience: float = 10.0) -> int:
    """SIGKILL whatever descends from this process, which is a subreaper, until nothing of it is left; say how many.

    What is below a child becomes one when that is gone. What cannot be ended, because it is another user's (by sudo,
    say) or waits for a disk that is gone, is left after `patience` seconds.

    :param spare: whether a child is to be left alone
    """
    ended = 0
    deadline = time.monotonic() + patience
    while doomed := [pid for pid in _children() if not spare(pid)]:
        for pid in doomed:
            # With its group, all at once: one that forks and exits, again and again, is not caught by its pid.
            with _unless_gone():
                if (group := os.getpgid(pid)) != os.getpgrp():
                    os.killpg(group, signal.SIGKILL)
            kill(pid)
        for pid in doomed:
            with contextlib.suppress(ChildProcessError):
                # Who was dead already, and only waited for, was not left.
                ended += os.waitpid(pid, os.WNOHANG) == (pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(_PAUSE)
    return ended


def _children() -> list[int]:
    found = children()
    if found is None:
        with _unknown_is_an_error():
            return [child.pid for child in psutil.Process().children()]
    return found


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    """Send it a signal, if it is there: whoever has got its pid meanwhile does not get the signal.

    Where there are no descriptors of processes (macOS, an old kernel), a moment is left in which that may happen.
    """
    with _unless_gone():
        try:
            # It stays whose it is now, whatever becomes of the pid; then it is seen whose that is.
            descriptor = os.pidfd_open(process.pid)
        except (AttributeError, OSError) as error:
            if isinstance(error, ProcessLookupError):
                raise
            if lives(process):
                os.kill(process.pid, number)
            return
        try:
            if lives(process):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def kill(pid: int) -> None:
    """SIGKILL a child of this process, or who is known to be there: nobody else can have its pid then."""
    with _unless_gone():
        os.kill(pid, signal.SIGKILL)


def _below(supervisor: int) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    with _unknown_is_an_error():
        for pid in psutil.pids():
            with _unless_gone():
                if os.getsid(pid) == supervisor:
                    process = psutil.Process(pid)
                    found.add(process)
                    found.update(process.children(recursive=True))
        return {process for process in found if process.pid != supervisor and lives(process)}


def _is_hidden(pid: int) -> bool:
    """Whether a process that is not in /proc is there all the same, as with the mount option `hidepid`."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        # Another user's is not the one that was ours.
        return False
    return True


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """Pass over what has ended meanwhile, or is another user's (by sudo, say) and not ours to signal or look into."""
    with contextlib.suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess, psutil.AccessDenied):
        yield


@contextlib.contextmanager
def _unknown_is_an_error() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except psutil.AccessDenied as error:
        raise PermissionError(errno.EACCES, str(error)) from error
    # What is not as expected in /proc may be any of them.
    except (psutil.Error, ValueError, IndexError, KeyError, MemoryError, RuntimeError) as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error
