"""How a task writes down at its site, past everything that is tested, that it has begun and ended."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def written_down(ti: Any, lines: int = 0) -> Iterator[None]:
    """Note that a try begins, with how many numbered lines it will print, and that it ends, if it ends well."""
    _write(ti, "start", lines)
    yield
    _write(ti, "end", lines)


def _write(ti: Any, what: str, lines: int) -> None:
    of = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number)
    entry = {"of": of, "what": what, "worker": os.environ["CHAOS_SITE"], "time": time.time(), "pid": os.getpid()}
    line = json.dumps({**entry, "lines": lines, "hostname": socket.gethostname()}) + "\n"
    ledger = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # One call, so that lines of many tasks do not mix, and on the disk before the task goes on.
        os.write(ledger, line.encode())
        os.fsync(ledger)
    finally:
        os.close(ledger)
