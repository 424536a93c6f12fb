"""Where the site's Unix sockets lie."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from airflow_edge.agent.errors import ConfigError

MAX_SOCKET_PATH = 100
"""Bytes. AF_UNIX takes 107 on Linux and 103 on macOS."""


def socket_path(state_dir: Path, name: str) -> Path:
    """Give the path of a socket of this state folder.

    It lies in the folder itself or, where its path would be too long for AF_UNIX, in a private folder below the
    temporary directory that is named after the state folder. That one is made if it is not there.

    :raises ConfigError: the private folder is somebody else's, or open to others.
    """
    path = state_dir / name
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"airflow-edge-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise ConfigError(
            f"{folder} has to be a folder of this user with mode 0700, because the sockets of {state_dir} lie there; "
            "remove it, or set [edge] state_dir to a shorter path"
        )
    return folder / name


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Give a socket that only this user can connect to. One that a dead process has left behind is replaced."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(path))
        try:
            # Nobody else has got in before this: the folder around it has mode 0700.
            path.chmod(0o600)
            listener.setblocking(False)
            yield listener
        finally:
            path.unlink(missing_ok=True)
