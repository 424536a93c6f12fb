"""Keeps the agent's loops running whatever the machine does to them, and says which of them fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

log = logging.getLogger(__name__)

PAUSE = 2.0
"""Seconds before a loop goes on that the machine has let down."""
STEADY_AFTER = 30.0
"""Seconds after which a loop that had failed is well again."""
LONGEST_TEXT = 500


class Loops:
    """The loops of one agent."""

    def __init__(self) -> None:
        self._failures: dict[str, str] = {}

    @property
    def condition(self) -> str:
        """Which loops fail, and why, for a person; empty if none does."""
        return "; ".join(f"{name} fails: {why}" for name, why in self._failures.items())

    async def keep(self, name: str, loop: Callable[[], Coroutine[object, object, None]]) -> None:
        """Run a loop, anew whenever the machine has no descriptor, thread or memory for it, say, or its disk fails.

        Only for one that loses nothing by that: what it takes out of anywhere has to be dealt with before it can fail.

        :param name: what it does, for a person
        """
        while True:
            well = asyncio.get_running_loop().call_later(STEADY_AFTER, self._failures.pop, name, None)
            try:
                return await loop()
            # That there are no more threads is a RuntimeError.
            except (OSError, MemoryError, RuntimeError) as error:
                self._failures[name] = (str(error) or type(error).__name__)[:LONGEST_TEXT]
                log.exception("the machine does not do its part: %s; trying again", self.condition)
            finally:
                well.cancel()
            await asyncio.sleep(PAUSE)
