"""Keeps the agent's loops running whatever the machine does to them, and says which of them fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from airflow_edge.agent.errors import AgentError

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
        """Run a loop, anew whatever it fails at: that the machine has no descriptor, thread or memory for it, say.

        Only for one that loses nothing by that: what it takes out of anywhere has to be dealt with before it can fail.

        :param name: what it does, for a person
        :raises AgentError: there is no going on, as the loop says itself.
        """
        while True:
            well = asyncio.get_running_loop().call_later(STEADY_AFTER, self._failures.pop, name, None)
            try:
                return await loop()
            except AgentError:
                raise
            # Of the system, of a library, or a fault of ours: none is worth the tasks that run here.
            except Exception as error:
                before, self._failures[name] = self._failures.get(name), _words(error)
                if before != self._failures[name]:
                    log.exception("%s fails; trying again", name)
            finally:
                well.cancel()
            await asyncio.sleep(PAUSE)


def _words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    return f"{kind}{error}".rstrip(": ")[:LONGEST_TEXT]
