"""What the worker's process does with signals, for as long as it works."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def handled(
    *, interrupt: Callable[[], None], terminate: Callable[[], None], hang_up: Callable[[], None]
) -> Iterator[None]:
    """Have the running loop call these, and leave the signals as Python has them by default."""
    loop = asyncio.get_running_loop()
    handlers = {
        signal.SIGINT: interrupt,
        signal.SIGTERM: terminate,
        # Also what a terminal sends that is closed.
        signal.SIGHUP: hang_up,
    }
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # Whoever started it with nohup wants it to stay.
        del handlers[signal.SIGHUP]
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
