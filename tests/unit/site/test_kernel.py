from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from airflow_edge.site.kernel import User, become, children, is_ours, keep_others_out

NOBODY = User("nobody", 65534, 65534, (), "/")


def _open_again():
    """Undo what the kernel does to a process that becomes another user's."""
    assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0


def test_this_users_own_processes_are_let_in():
    ours, its = socket.socketpair()
    with ours, its:
        assert is_ours(ours)


@pytest.mark.held("another user of the machine: no socket, file or folder")
@pytest.mark.attack(10)
@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="only root can be another user, on Linux")
def test_another_user_is_not_let_in_though_the_socket_is_open_to_all():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        Path(folder).chmod(0o755)
        path = Path(folder, "sock")
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            become(NOBODY)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                os.close(writer)
                os.read(reader, 1)
            os._exit(0)
        connection, _ = listener.accept()
        with connection:
            assert not is_ours(connection)
        os.close(reader)
        os.close(writer)
        assert os.waitpid(child, 0)[1] == 0


def test_children_are_those_that_were_not_waited_for():
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    found = children()
    assert found is None or child in found
    os.close(reader)
    os.close(writer)
    os.waitpid(child, 0)
    assert child not in (children() or [])


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="only root can be another user, on Linux")
@pytest.mark.parametrize("closed", [True, False])
def test_attack_10_who_keeps_others_out_is_not_looked_into_by_its_own_user(closed):
    """As a task might, of a worker that is the same user."""
    readers, writers = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become(NOBODY)
            # A user's own process, which it has not been since it was root.
            _open_again()
            if closed:
                assert keep_others_out()
            os.write(readers[1], b"x")
            os.read(writers[0], 1)
        finally:
            os._exit(0)
    try:
        assert os.read(readers[0], 1) == b"x"
        looked = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", f"/proc/{pid}/environ"],
            capture_output=True,
            check=False,
        )
        assert (looked.returncode != 0) == closed
    finally:
        os.write(writers[1], b"x")
        os.waitpid(pid, 0)
