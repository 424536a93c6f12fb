"""The runtime's loop in a process of its own, with supervisors that only wait, and a machine that fails it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import (
    JobExited,
    JobNotStarted,
    JobStarted,
    Retire,
    RuntimeHello,
    StartJob,
    ToAgent,
    ToRuntime,
    decode_for_agent,
    encode_local,
    split_frames,
)
from harness.waiting import wait_for

KEYS = [AssignmentKey(f"00000000-0000-4000-8000-00000000000{number}", 1) for number in range(2)]
RUNTIME = """
import errno, os, socket, sys, time
from pathlib import Path
from airflow_edge.runtime import server
server._PAUSE = 0.01
def supervise(folder, output, secret):
    while not (folder / "over").exists():
        time.sleep(0.01)
    os._exit(7)
def once(function, error, times=1):
    left = [times]
    def call(*arguments, **named):
        if left[0]:
            left[0] -= 1
            raise error
        return function(*arguments, **named)
    return call
{sabotage}
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
server.Server(
    listener, airflow_version="3", supervise=supervise, release=lambda: Path(sys.argv[1] + ".released").touch()
).run()
"""
SABOTAGES = {
    "nothing": "",
    "a status that somebody took": "os.waitid = once(os.waitid, ChildProcessError(errno.ECHILD, 'No child'), 9)",
    "an outcome that cannot be looked for": "server.is_there = once(None, OSError(errno.EIO, 'I/O error'), 99)",
    "a shortage of descriptors": "os.waitid = once(os.waitid, OSError(errno.EMFILE, 'Too many open files'), 3)",
    "a fault of ours": "server.Supervisor.reap = once(server.Supervisor.reap, KeyError('a fault of ours'), 3)",
    "no memory": "server.Server._write_missing_outcome = once(server.Server._write_missing_outcome, MemoryError(), 3)",
}


class Line:
    """The agent's connection."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        # The socket is there a moment before anybody listens at it.
        wait_for(lambda: self._socket.connect_ex(str(path)) == 0, "somebody who listens", timeout=30)
        self._buffer = bytearray()
        self._seen: list[ToAgent] = []

    def say(self, *messages: ToRuntime) -> None:
        self._socket.sendall(b"".join(map(encode_local, messages)))

    def hear(self) -> ToAgent | None:
        """Give the next message; None if the runtime has hung up."""
        while not self._seen:
            data = self._socket.recv(65536)
            if not data:
                return None
            self._buffer += data
            self._seen = [decode_for_agent(frame) for frame in split_frames(self._buffer)]
        return self._seen.pop(0)


@contextlib.contextmanager
def runtime(folder: Path, sabotage: str = "") -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    path = folder / "runtime.sock"
    with subprocess.Popen(
        [sys.executable, "-c", RUNTIME.format(sabotage=sabotage), path], start_new_session=True
    ) as process:
        try:
            wait_for(lambda: path.exists() or process.poll() is not None, "the socket", timeout=30)
            yield process, path
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def start(folder: Path, key: AssignmentKey) -> StartJob:
    (folder / str(key)).mkdir(exist_ok=True)
    return StartJob(**key._asdict(), folder=str(folder / str(key)))


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_whatever_the_machine_does_each_end_is_told_and_the_runtime_goes_on(tmp_path: Path, sabotage: str) -> None:
    with runtime(tmp_path, SABOTAGES[sabotage]) as (process, path):
        line = Line(path)
        assert isinstance(line.hear(), RuntimeHello)
        line.say(*(start(tmp_path, key) for key in KEYS))
        assert {type(line.hear()) for _ in KEYS} == {JobStarted}
        for key in KEYS:
            (tmp_path / str(key) / "over").touch()
        ends = [line.hear() for _ in KEYS]
        assert {end.key for end in ends if isinstance(end, JobExited)} == set(KEYS)
        assert process.poll() is None
        line.say(Retire())
        assert process.wait(30) == 0


def test_an_order_that_fails_is_said_again_by_the_agent_that_connects_anew(tmp_path: Path) -> None:
    sabotage = "server.Server._start = once(server.Server._start, MemoryError())"
    with runtime(tmp_path, sabotage) as (_, path):
        line = Line(path)
        assert isinstance(line.hear(), RuntimeHello)
        line.say(*(start(tmp_path, key) for key in KEYS))
        # Sooner or later it hangs up; what came with the order that failed is obeyed all the same.
        while line.hear() is not None:
            pass
        line = Line(path)
        hello = line.hear()
        assert isinstance(hello, RuntimeHello)
        assert {job.key for job in hello.jobs} <= set(KEYS[1:])
        line.say(start(tmp_path, KEYS[0]))
        assert isinstance(line.hear(), JobStarted)


def test_a_job_that_could_not_be_forked_may_be_started_later(tmp_path: Path) -> None:
    sabotage = "server.os.fork = once(os.fork, BlockingIOError(errno.EAGAIN, 'Resource temporarily unavailable'))"
    with runtime(tmp_path, sabotage) as (_, path):
        line = Line(path)
        assert isinstance(line.hear(), RuntimeHello)
        line.say(start(tmp_path, KEYS[0]))
        assert isinstance(line.hear(), JobNotStarted)
        assert not (tmp_path / str(KEYS[0]) / "supervisor.log").exists()
        line.say(start(tmp_path, KEYS[0]))
        assert isinstance(line.hear(), JobStarted)


def test_a_runtime_that_cannot_remove_its_socket_lets_the_next_one_serve_all_the_same(tmp_path: Path) -> None:
    sabotage = "server.Path.unlink = once(None, OSError(errno.EROFS, 'Read-only file system'), 9)"
    with runtime(tmp_path, sabotage) as (process, path):
        line = Line(path)
        assert isinstance(line.hear(), RuntimeHello)
        line.say(Retire())
        assert process.wait(30) == 0
        assert path.with_name("runtime.sock.released").exists()
