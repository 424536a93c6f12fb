"""With real processes: who lives, who is gone, and of whom that cannot be known."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from airflow_edge.site import processes
from airflow_edge.site.processes import (
    find,
    hold_pid_file,
    holder,
    is_the_one,
    kill_session,
    lives,
    terminate_task,
)
from harness.processes import without_descriptors
from harness.waiting import wait_for

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from airflow_edge.site.processes import hold_pid_file
hold_pid_file(Path(sys.argv[1]))
subprocess.Popen(["sleep", "100"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, close_fds=False)
print("there", flush=True)
time.sleep(100)
"""


@contextlib.contextmanager
def started(*command: str | Path, user: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, user=user)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.communicate()


def test_a_file_is_held_until_the_end_of_its_process_and_by_no_child_of_it(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.pid"
    with pytest.raises(FileNotFoundError):
        holder(path)
    with started(sys.executable, "-c", HOLDER, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        assert holder(path) == process.pid
        # Whoever looks takes nothing from it.
        assert holder(path) == process.pid
        with without_descriptors(), pytest.raises(OSError):
            holder(path)
        (child,) = psutil.Process(process.pid).children()
        process.kill()
        wait_for(lambda: holder(path) is None, "the file to be held by nobody", timeout=10)
        assert child.is_running()


def test_what_is_no_file_is_held_by_nobody(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "file" / "supervisor.pid"):
        (tmp_path / "file").touch()
        with pytest.raises(FileNotFoundError):
            holder(place)


def test_where_there_are_no_locks_nobody_is_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", no_locks)
    path = tmp_path / "supervisor.pid"
    with pytest.raises(OSError):
        hold_pid_file(path)
    assert not path.exists()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOMEM])
@pytest.mark.parametrize("look", [lives, lambda process: find(process.pid)], ids=["lives", "find"])
def test_only_what_the_kernel_calls_gone_is_gone(look: object, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One failed look at /proc is no death."""
    with started("sleep", "100") as process:
        known = find(process.pid)
        assert known is not None

        def fails(_: object) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr("psutil._pslinux.bcat", fails)
            with pytest.raises(OSError):
                look(known)  # type: ignore[operator]
        assert lives(known)
    assert not lives(known)


@pytest.mark.parametrize("content", [b"", b"1 (", b"1 (a) R"])
def test_what_makes_no_sense_in_proc_is_unknown(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    known = find(os.getpid())
    assert known is not None
    monkeypatch.setattr("psutil._pslinux.bcat", lambda _: content)
    with pytest.raises(OSError):
        lives(known)


def test_who_is_hidden_in_proc_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `hidepid`, which hides from us who does not let itself be looked into, as Airflow's supervisor."""
    with started("sleep", "100") as process:
        known = find(process.pid)
        assert known is not None

        def hidden(path: str) -> None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

        monkeypatch.setattr("psutil._pslinux.bcat", hidden)
        monkeypatch.setattr("os.path.exists", lambda _: False)
        assert lives(known)
        process.kill()
        process.wait()
        assert not lives(known)


def test_a_zombie_is_gone() -> None:
    with started("sleep", "100") as process:
        known = find(process.pid)
        assert known is not None
        process.kill()
        wait_for(lambda: not lives(known), "its end to be seen", timeout=10)


AGENT = """
import fcntl, os, socket, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print(os.getpid(), file=lock, flush=True)
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[2])
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process it is")
def test_attack_10_while_an_agent_lives_no_other_process_of_its_user_is_listened_to(tmp_path: Path) -> None:
    lock = tmp_path / "agent.pid"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as task:
        listener.bind(str(tmp_path / "runtime.sock"))
        listener.listen()
        task.connect(str(tmp_path / "runtime.sock"))
        tasks, _ = listener.accept()
        with tasks:
            # No agent has ever been here; then one that is dead.
            assert is_the_one(tasks, None)
            assert is_the_one(tasks, lock)
            with subprocess.Popen(
                [sys.executable, "-c", AGENT, lock, tmp_path / "runtime.sock"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as agent:
                assert agent.stdout is not None
                assert agent.stdout.readline() == b"there\n"
                agents, _ = listener.accept()
                with agents:
                    assert is_the_one(agents, lock)
                    assert not is_the_one(tasks, lock)
                agent.communicate()
            assert is_the_one(tasks, lock)
            # What a full disk has left of it says nothing.
            with lock.open("w") as empty:
                fcntl.flock(empty, fcntl.LOCK_EX)
                assert is_the_one(tasks, lock)


@pytest.mark.parametrize("has_descriptors", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_has_got_a_pid_meanwhile_is_not_ended_for_who_had_it(
    has_descriptors: bool, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_descriptors:
        monkeypatch.delattr("os.pidfd_open", raising=False)
    with started("sleep", "100") as bystander:
        former = find(bystander.pid)
        assert former is not None
        # As the library knows who has had the pid before.
        former._ident = (former.pid, -1.0)  # type: ignore[attr-defined]
        with monkeypatch.context() as patch:
            if number is signal.SIGKILL:
                patch.setattr(processes, "_below", lambda _: {former})
                kill_session(1)
            else:
                patch.setattr("psutil.Process.children", lambda _: [former])
                terminate_task(os.getpid())
        with pytest.raises(subprocess.TimeoutExpired):
            bystander.wait(0.2)
        one = find(bystander.pid)
        assert one is not None
        with monkeypatch.context() as patch:
            patch.setattr("psutil.Process.children", lambda _: [one])
            assert terminate_task(os.getpid())
        assert bystander.wait(10) == -signal.SIGTERM
