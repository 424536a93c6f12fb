"""Output that nobody reads any more."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

UNREAD: Final = 141
"""The exit status of a program whose output nobody reads any more, as shells give it."""


@contextmanager
def while_somebody_reads() -> Iterator[None]:
    """End without a word when the program that reads the output has ended, like `head` after ten lines."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Another one may be of a connection.
        if not _is_closed(sys.stdout.fileno()):
            raise
        # Python itself flushes once more, and would say that it failed.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise SystemExit(UNREAD) from None


def _is_closed(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
