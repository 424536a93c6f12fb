"""What a process has from whoever started it, and must not depend on: brought to what is usual, at its start.

Signals that stay blocked are never told, and descriptors that are closed are given to the next file that is opened.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from pathlib import Path

MOST_FILES = 65_536
"""Descriptors that the agent takes where it may have more: some programs walk through all that they may have."""
_DEFAULT = frozenset({signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM})
"""Signals that nobody ignores on purpose. SIGHUP (by nohup) and SIGINT (by a shell, in the background) stay."""


def settle() -> None:
    """Bring signals, standard descriptors, umask and working folder to what is usual. Before any thread is begun."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    for number in _DEFAULT:
        if signal.getsignal(number) in {signal.SIG_IGN, None}:
            signal.signal(number, signal.SIG_DFL)
    _open_standard_descriptors()
    # Whoever cannot read what he writes himself can do nothing.
    os.umask(os.umask(0o077) & ~0o700)
    try:
        Path.cwd()
    except OSError:
        # It was removed: nothing could be started there.
        os.chdir("/")


def take_more_files() -> int:
    """Raise the limit of open files to what this process may have; give what it was before.

    A task gets the lower one back: some programs cannot deal with descriptors above it (see select(2)).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft


def give_back_files(soft: int | None) -> None:
    """Set the limit of open files to what `take_more_files` gave, if it was asked."""
    if soft is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _open_standard_descriptors() -> None:
    """Have something at 0 to 2: what is opened later must not get these, since what is printed would go there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest that is free is given.
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            os.set_inheritable(number, True)
