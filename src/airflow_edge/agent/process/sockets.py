"""Where the site's Unix sockets lie, and how they stay there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from airflow_edge.agent.errors import ConfigError, unusable
from airflow_edge.site.files import clear

log = logging.getLogger(__name__)

LOOK_INTERVAL = 2.0
"""Seconds between two looks whether a socket is still there."""
MAX_SOCKET_PATH = 100
"""Bytes. AF_UNIX takes 107 on Linux and 103 on macOS."""

_TEMPORARY = "airflow-edge-"


def socket_path(state_dir: Path, name: str) -> Path:
    """Give the path of a socket of this state folder.

    It lies in the folder itself or, where its path would be too long for AF_UNIX, in a private folder below the
    temporary directory that is named after the state folder. That one is made if it is not there.

    :raises ConfigError: the private folder is somebody else's, or open to others.
    :raises AgentError: it cannot be made now.
    """
    path = state_dir / name
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"{_TEMPORARY}{os.getuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
    except FileExistsError:
        raise ConfigError(f"{folder} is no folder; remove it, or set [edge] state_dir to a shorter path") from None
    except OSError as error:
        raise unusable(folder, error) from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise ConfigError(
            f"{folder} has to be a folder of this user with mode 0700, because the sockets of {state_dir} lie there; "
            "remove it, or set [edge] state_dir to a shorter path"
        )
    return folder / name


def make_folder_again(path: Path) -> None:
    """Make the private folder of a socket anew where somebody has tidied it away; a state folder is not ours to make.

    :raises OSError: that cannot be done now.
    """
    if path.parent.name.startswith(_TEMPORARY):
        path.parent.mkdir(mode=0o700, exist_ok=True)


class Doorway:
    """A socket at a path, made anew when somebody has removed it: a tidied folder must not cut off who comes later."""

    def __init__(self, path: Path, serve: Callable[[socket.socket], Awaitable[asyncio.AbstractServer]]) -> None:
        """:param serve: begins to serve at a listening socket"""
        self._path = path
        self._serve = serve
        self._open = contextlib.ExitStack()
        self._inode = 0

    async def open(self) -> None:
        """Listen there from now on.

        :raises OSError: that cannot be done now.
        """
        with contextlib.ExitStack() as opening:
            listener = opening.enter_context(listening(self._path))
            server = await self._serve(listener)
            opening.callback(server.close)
            inode = self._path.stat().st_ino
            self.close()
            self._open, self._inode = opening.pop_all(), inode

    async def guard(self) -> None:
        """See to it that it stays there, until cancelled.

        :raises OSError: it is gone, and cannot be made anew now: to be called again.
        """
        while True:
            if not self._is_there():
                make_folder_again(self._path)
                await self.open()
                log.warning("%s was removed or replaced; it was made anew", self._path)
            await asyncio.sleep(LOOK_INTERVAL)

    def close(self) -> None:
        """Serve nobody who comes from now on; those who are connected stay so."""
        self._open.close()

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False


@contextlib.asynccontextmanager
async def doorway(
    path: Path, serve: Callable[[socket.socket], Awaitable[asyncio.AbstractServer]]
) -> AsyncIterator[Doorway]:
    """Have a `Doorway` that is open."""
    door = Doorway(path, serve)
    await door.open()
    try:
        yield door
    finally:
        door.close()


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Give a socket that only this user can connect to. One that a dead process has left behind is replaced."""
    clear(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(path))
        try:
            # Nobody else has got in before this: the folder around it has mode 0700.
            path.chmod(0o600)
            inode = path.stat().st_ino
            listener.setblocking(False)
            yield listener
        finally:
            # Unless another one has taken its place.
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()
