"""What Linux offers a process beyond Python's own library; elsewhere nothing of it is there, and that is said."""

from __future__ import annotations

import importlib
import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_DUMPABLE: Final = 4
_PR_SET_KEEPCAPS: Final = 8
_CAPABILITY_VERSION: Final = 0x20080522
"""The third, of 64 bits; see capset(2)."""
CAP_KILL: Final = 5
CAP_SETGID: Final = 6
CAP_SETUID: Final = 7


class User(NamedTuple):
    """Somebody whose process one may be."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def user_named(name: str) -> User:
    """Give a user of this machine.

    :raises KeyError: there is none of that name.
    """
    import pwd

    found = pwd.getpwnam(name)
    groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
    return User(found.pw_name, found.pw_uid, found.pw_gid, groups, found.pw_dir)


class Peer(NamedTuple):
    """Who has made the other end of a Unix socket."""

    pid: int
    """0 where it is of another PID namespace."""
    uid: int


def peer(connection: socket.socket) -> Peer | None:
    """Say who is at the other end of a Unix socket; None where the system cannot tell."""
    if sys.platform != "linux":
        return None
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid)


def is_ours(connection: socket.socket) -> bool:
    """Whether this user, or root, is at the other end of a Unix socket, whoever may have got at its path."""
    found = peer(connection)
    return found is None or found.uid in {0, os.geteuid()}


def keep_others_out() -> bool:
    """Have nobody of this user look into this process, its memory or its environment, see PR_SET_DUMPABLE in prctl(2).

    Root still can. It holds until this process executes another program. False where there is no such thing.
    """
    if sys.platform != "linux":
        return False
    # What PyNaCl has loaded already: ctypes would be a fifth of a megabyte more, for each agent.
    backend: Any = importlib.import_module("_cffi_backend")
    number = backend.new_primitive_type("int")
    word = backend.new_primitive_type("unsigned long")
    kind = backend.new_function_type((number, word, word, word, word), number)
    return bool(backend.load_library(None).load_function(kind, "prctl")(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)


def become_subreaper() -> bool:
    """Have what descends from this process become its child when its own parent ends, see prctl(2).

    False where there is no such thing. It is this process's only: a child of it does not inherit it.
    """
    return sys.platform == "linux" and _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> bool:
    return bool(_libc().prctl(option, value, 0, 0, 0) == 0)


def _libc() -> Any:
    # An agent, which is small, has no use for it.
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def become(user: User, keep: Iterable[int] = ()) -> None:
    """Have this process be another user's for good, but for these capabilities.

    The kernel keeps others of that user from looking into it from now on, see PR_SET_DUMPABLE in prctl(2).

    :raises OSError: it may not.
    """
    capabilities = tuple(keep)
    if capabilities and not _prctl(_PR_SET_KEEPCAPS, 1):
        raise _failure()
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    if sys.platform == "linux":
        limit_capabilities(capabilities)


def limit_capabilities(keep: Iterable[int]) -> None:
    """Give up all capabilities but these.

    :raises OSError: it has not got them.
    """
    import ctypes

    mask = sum(1 << number for number in keep)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    # Effective, permitted, inheritable; then the same of the upper half.
    sets = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
    if _libc().capset(header, sets) != 0:
        raise _failure()


def _failure() -> OSError:
    import ctypes

    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def children() -> list[int] | None:
    """Give the pids of this process's children, the dead that were not waited for included; None if it cannot be known.

    :raises OSError: it cannot be known now.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    try:
        # A file of the kernel for each thread; not every kernel has it. To look at all processes takes long.
        files = [Path(entry.path, "children") for entry in os.scandir("/proc/self/task")]
        return [int(pid) for file in files for pid in file.read_text(encoding="ascii").split()]
    except FileNotFoundError:
        return None
