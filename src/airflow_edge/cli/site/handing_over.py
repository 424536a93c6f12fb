"""Root gives the agent's user what root has made in the state folder, and nothing else on this machine."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airflow_edge.agent.errors import ConfigError, user_name
from airflow_edge.site.kernel import User

_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# One that is only passed through need not be one that may be read.
_STEP: Final = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)
_MOST_LINKS: Final = 40
"""As many as Linux follows, see path_resolution(7)."""


def hand_over(folder: Path, agent: User) -> None:
    """Give the agent what is root's in its state folder: root has enrolled there, or started a worker before.

    It is done with each start, in a folder in which the agent can put what it likes: no link is followed that root has
    not laid, and no file is given away that has a second name. What is a third user's is left as it is.

    :raises ConfigError: the folder itself is a third user's, or its path has a link that root has not laid.
    """
    try:
        top = _open(folder)
    except (FileNotFoundError, PermissionError):
        # Where root may not look (NFS makes it nobody) nothing is root's; what the agent may not use it says itself.
        return
    except NotADirectoryError:
        raise ConfigError(
            f"the state folder {folder} is no folder, or its path has a link that root has not laid; set [edge] "
            "state_dir to the path of a folder"
        ) from None
    with _closing(top):
        owner = os.fstat(top).st_uid
        if owner not in {0, agent.uid}:
            raise ConfigError(
                f"the state folder {folder} belongs to '{user_name(owner)}', and the worker is '{agent.name}' "
                f"([edge] agent_user); `chown -R {agent.name} {folder}`, or set [edge] state_dir to another folder"
            )
        _give(top, agent)
        if owner == 0:
            os.fchown(top, agent.uid, agent.gid)
            os.fchmod(top, 0o700)


def _give(folder: int, agent: User) -> None:
    # What is in a folder comes before the folder itself: until then nobody but root can change what is in there.
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError), _opened(folder, name) as (found, facts):
            if stat.S_ISDIR(facts.st_mode) and facts.st_uid in {0, agent.uid}:
                _give(found, agent)
            if facts.st_uid == 0:
                os.fchown(found, agent.uid, agent.gid)


@contextlib.contextmanager
def _opened(folder: int, name: str) -> Iterator[tuple[int, os.stat_result]]:
    """Open a folder, or a file that has one name; of anything else it is as if it were not there.

    :raises FileNotFoundError: it is something else, or gone.
    """
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not (stat.S_ISDIR(before.st_mode) or stat.S_ISREG(before.st_mode)):
        raise FileNotFoundError(name)
    try:
        # A pipe could be in its place by now.
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise FileNotFoundError(name) from error
    with _closing(found):
        facts = os.fstat(found)
        if not (stat.S_ISDIR(facts.st_mode) or (stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1)):
            raise FileNotFoundError(name)
        yield found, facts


def _open(path: Path) -> int:
    """Open a folder, step by step: of the links on the way only those count that root has laid where only root may.

    :raises FileNotFoundError: it is not there.
    :raises NotADirectoryError: it is no folder, or there is another's link.
    """
    at, rest, links = os.open("/", _STEP), [*reversed(path.absolute().parts[1:])], 0
    while rest:
        name = rest.pop()
        try:
            if (target := _link(at, name)) is None:
                after = os.open(name, _STEP, dir_fd=at)
            elif (links := links + 1) > _MOST_LINKS:
                raise NotADirectoryError(errno.ENOTDIR, "too many links", str(path))
            else:
                rest += reversed([part for part in target.split("/") if part])
                after = os.open("/", _STEP) if target.startswith("/") else os.dup(at)
        finally:
            os.close(at)
        at = after
    try:
        return os.open(".", os.O_RDONLY | _FOLDER, dir_fd=at)
    finally:
        os.close(at)


def _link(folder: int, name: str) -> str | None:
    """Give where root's own link leads; None for anything else."""
    around, facts = os.fstat(folder), os.stat(name, dir_fd=folder, follow_symlinks=False)
    kept = around.st_uid == 0 and (not around.st_mode & 0o022 or around.st_mode & stat.S_ISVTX)
    return os.readlink(name, dir_fd=folder) if kept and facts.st_uid == 0 and stat.S_ISLNK(facts.st_mode) else None


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
