"""The files that agent and runtime leave for the next ones, which a power cut, a disk or a person may have damaged.

A file is there, is missing, holds what is not understood, or it cannot be known now. Missing is only what the kernel
says is not there; damaged is only what was read. All else is an `OSError`, upon which nothing is taken for gone.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec

log = logging.getLogger(__name__)

T = TypeVar("T")

_SOMETHING_ELSE = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
"""What the attempt to read a file says where something else is in its place."""


class DamagedError(ValueError):
    """A file holds what is not understood; says what."""


def decode(content: bytes | str, kind: type[T]) -> T:
    """Give the value that JSON stands for.

    :raises DamagedError: it stands for none of this kind.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    # msgspec has errors of its own, gives those of the encoding as they are, and those of the constructors it calls.
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise DamagedError(str(error) or type(error).__name__) from error


def read(path: Path, kind: type[T]) -> T | None:
    """Give the value in a JSON file; None if there is no such file.

    :raises DamagedError: it holds none of this kind.
    :raises OSError: it cannot be read now, which says nothing about it.
    """
    try:
        content = _content(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _SOMETHING_ELSE:
            raise DamagedError(str(error)) from error
        raise
    return decode(content, kind)


def _content(path: Path) -> bytes:
    # Opening a pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DamagedError(f"{path} is no file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()


def is_there(path: Path) -> bool:
    """Whether something of this name is there.

    :raises OSError: that cannot be known now; the library's own functions may take this for a no.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_something_else(path: Path) -> bool:
    """Whether what is in the place of a file can never be one: a folder, a pipe, a socket, a link to itself.

    :raises OSError: that cannot be known now.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return True
        raise
    # A log may be a device.
    return stat.S_ISDIR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def make_way(path: Path) -> None:
    """Make room for a file that is to be opened: what else is in its place is moved aside.

    :raises OSError: that cannot be done, or known, now.
    """
    if is_something_else(path):
        log.error("%s is no file; it was moved to %s", path, move_aside(path))


def move_aside(path: Path) -> Path:
    """Give a damaged file, or what is in the place of one, another name: nothing is deleted that is not understood."""
    number = 1
    while is_there(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
    return aside


def make_folder(path: Path) -> None:
    """Make a folder for this user, if it is not there; what else is in its place is moved aside."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        log.error("%s is no folder; it was moved to %s", path, move_aside(path))
        path.mkdir(mode=0o700, exist_ok=True)


def clear(path: Path) -> None:
    """Make room for a socket or a lock: what a dead process has left there is removed, a folder is moved aside."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # Unlinking a folder is an error of several names.
        if not path.is_dir():
            raise
        log.error("%s is a folder; it was moved to %s", path, move_aside(path))
