"""Waiting for a condition, with a deadline and an error that tells what was awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(probe: Callable[[], T | None], what: str, *, timeout: float, interval: float = 0.1) -> T:
    """Call `probe` every `interval` seconds until it returns something true, and return that.

    Raises `TimeoutError` naming `what` after `timeout` seconds. Whatever `probe` raises passes through.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(interval)
