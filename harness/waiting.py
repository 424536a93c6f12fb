"""Waiting for a condition, with a deadline and an error that tells what was awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(probe: Callable[[], T | None], what: str, *, timeout: float, interval: float = 0.1) -> T:
    """Call `probe` every `interval` seconds until it returns something true, and return that.

    Who has waited long is asked less often, at least every second: asking is work for the machine, too.

    Raises `TimeoutError` naming `what` after `timeout` seconds. Whatever `probe` raises passes through.
    """
    began = time.monotonic()
    deadline = began + timeout
    while True:
        found = probe()
        if found:
            return found
        now = time.monotonic()
        if now >= deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(max(interval, min(1.0, (now - began) / 30)))
