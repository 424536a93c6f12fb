"""What a process is called in the list of processes."""

from __future__ import annotations

import contextlib
import sys


def set_title(title: str) -> None:
    """Name this process, where that is possible. On macOS it is not safe after a fork."""
    if sys.platform != "darwin":
        with contextlib.suppress(ImportError):
            from setproctitle import setproctitle

            setproctitle(title)
